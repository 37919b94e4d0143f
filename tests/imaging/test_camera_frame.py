"""A camera's frame holds the very pixels that are otherwise normalised."""

from dataclasses import replace

import numpy as np
import pytest

from depthdeploy.core.depth import ColorOrder, InputContract, InputForm, Layout, ResizeRule
from depthdeploy.imaging.preprocess import camera_frame, preprocess

CONTRACT = InputContract(24, 32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), form=InputForm.UINT8)


def photograph(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(24, 32), (50, 40), (10, 90)])
@pytest.mark.parametrize("resize", ResizeRule, ids=lambda one: one.value)
@pytest.mark.parametrize("layout", Layout, ids=lambda one: one.value)
@pytest.mark.parametrize("color", ColorOrder, ids=lambda one: one.value)
def test_normalised_pixels_are_the_networks_tensor(
    color: ColorOrder, layout: Layout, resize: ResizeRule, size: tuple[int, int]
) -> None:
    contract = replace(CONTRACT.recolored(color), layout=layout, resize=resize)
    frame = camera_frame(photograph(*size), contract)
    assert (frame.shape, frame.dtype.name, frame.flags.c_contiguous) == (contract.shape, "uint8", True)
    channels = (1, 3, 1, 1) if layout is Layout.NCHW else (1, 1, 1, 3)
    found = (frame / 255 - np.reshape(contract.mean, channels)) / np.reshape(contract.std, channels)
    expected = preprocess(photograph(*size), replace(contract, form=InputForm.NORMALIZED))
    # Half a pixel value where padding fills with the mean colour, which no whole pixel value is.
    tolerance = 0.5 / 255 / min(contract.std) if resize is ResizeRule.PAD else 1e-6
    np.testing.assert_allclose(found, expected, atol=1.01 * tolerance)
    raw = preprocess(photograph(*size), replace(contract, form=InputForm.RAW))
    assert raw.dtype == np.float32
    np.testing.assert_array_equal(raw, frame)


def test_padding_is_the_mean_colour() -> None:
    frame = camera_frame(photograph(10, 90), replace(CONTRACT, resize=ResizeRule.PAD, layout=Layout.NHWC))
    assert tuple(frame[0, 0, 0]) == (124, 116, 104)


def test_what_is_no_photograph_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        camera_frame(np.zeros((4, 4), np.uint8), CONTRACT)
