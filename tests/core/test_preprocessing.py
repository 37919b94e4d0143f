"""The contract's normalisation in the units of pixels is the same normalisation, with the vendors' own figures."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from depthdeploy.core.depth import ColorOrder, InputContract, Layout
from depthdeploy.core.preprocessing import Preprocessing, preprocessing_of
from depthdeploy.imaging.preprocess import preprocess

IMAGENET = InputContract(32, 32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("contract", "mean", "std"),
    [
        (IMAGENET, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),  # as Hailo's model zoo writes them
        (InputContract(32, 32, mean=(0.5,) * 3, std=(0.5,) * 3), (127.5,) * 3, (127.5,) * 3),
        (InputContract(32, 32), (0.0,) * 3, (255.0,) * 3),  # a network that takes 0..1
        (InputContract(32, 32, scale=255.0), (0.0,) * 3, (1.0,) * 3),
        (InputContract(32, 32, scale=255.0, mean=(104.0, 117.0, 123.0)), (104.0, 117.0, 123.0), (1.0,) * 3),
    ],
)
def test_vendors_figures(contract: InputContract, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    found = preprocessing_of(contract)
    assert (found.mean, found.std) == (mean, std)
    assert found.identity == (mean == (0.0,) * 3 and std == (1.0,) * 3)


def test_other_colours_turn_the_figures() -> None:
    found = preprocessing_of(IMAGENET, color=ColorOrder.BGR, layout=Layout.NCHW)
    assert found == Preprocessing((103.53, 116.28, 123.675), (57.375, 57.12, 58.395), ColorOrder.BGR, Layout.NCHW)
    assert preprocessing_of(IMAGENET.recolored(ColorOrder.BGR)).mean == (103.53, 116.28, 123.675)


def test_the_scale_divides() -> None:
    assert Preprocessing((0.0,) * 3, (2.0, 4.0, 8.0)).scale == (0.5, 0.25, 0.125)


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(
    mean=st.tuples(*[st.floats(-2, 2)] * 3),
    std=st.tuples(*[st.floats(0.01, 10)] * 3),
    scale=st.sampled_from([1.0, 255.0, 2.0]),
)
def test_it_is_the_contracts_own_formula(
    mean: tuple[float, float, float], std: tuple[float, float, float], scale: float
) -> None:
    contract = InputContract(4, 5, mean=mean, std=std, scale=scale)
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    units = preprocessing_of(contract)
    expected = preprocess(image, contract)[0].transpose(1, 2, 0)
    found = (image.astype(np.float64) - units.mean) / units.std
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max() + 1))
