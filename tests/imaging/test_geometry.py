from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.core.depth import ColorOrder, InputContract, Interpolation, Layout, ResizeRule
from depthdeploy.imaging.geometry import geometry
from depthdeploy.imaging.preprocess import describe, preprocess

sides = st.integers(32, 300)
rules = st.sampled_from(ResizeRule)


def _contract(rule: ResizeRule, height: int, width: int, **options: object) -> InputContract:
    return InputContract(height, width, resize=rule, **options)  # type: ignore[arg-type]


@given(rules, sides, sides, sides, sides)
def test_points_come_back(rule: ResizeRule, height: int, width: int, rows: int, columns: int) -> None:
    frame = geometry(_contract(rule, rows, columns), height=height, width=width)
    points = np.random.default_rng(height).uniform(0, 1, (20, 2)) * (height - 1, width - 1)
    np.testing.assert_allclose(frame.from_network(frame.to_network(points)), points, atol=1e-9)


@given(rules, sides, sides, sides, sides)
def test_edges_meet_edges(rule: ResizeRule, height: int, width: int, rows: int, columns: int) -> None:
    frame = geometry(_contract(rule, rows, columns), height=height, width=width)
    top, left, bottom, right = frame.inner
    x0, y0, x1, y1 = frame.source_box
    seen = np.array([[y0, x0], [y1, x1]]) - 0.5
    np.testing.assert_allclose(frame.to_network(seen) + 0.5, [[top, left], [bottom, right]], atol=1e-6)
    if rule is ResizeRule.PAD:
        assert min(rows - (bottom - top), columns - (right - left)) == 0
    else:
        assert (bottom - top, right - left) == (rows, columns)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    if rule is not ResizeRule.CROP:
        assert (x0, y0, x1, y1) == (0, 0, width, height)


@settings(deadline=None, max_examples=80)
@given(rules, st.integers(32, 64), st.integers(32, 64), sides, sides)
def test_a_gradient_comes_back_without_a_shift(rule: ResizeRule, height: int, width: int, rows: int, cols: int) -> None:
    """The tensor of a gradient photograph, taken as a prediction, lies on the photograph again."""
    down, across = np.meshgrid(4 * np.arange(height), 4 * np.arange(width), indexing="ij")
    image = np.stack([down, across, down], axis=2).astype(np.uint8)
    contract = _contract(rule, rows, cols, interpolation=Interpolation.BILINEAR, scale=255.0)
    tensor = preprocess(image, contract)
    frame = geometry(contract, height=height, width=width)
    margin = 2 + int(2 / min(1.0, frame.rows.scale, frame.columns.scale))  # the ends of the resampling filter are flat
    for channel in (0, 1):
        back, seen = frame.to_original(tensor[0, channel])
        assert back.dtype == np.float32
        assert back.shape == seen.shape == (height, width)
        ys, xs = (np.flatnonzero(seen.any(axis=axis))[margin:-margin] for axis in (1, 0))
        error = back[np.ix_(ys, xs)] - image[np.ix_(ys, xs)][:, :, channel]
        # Half a pixel of shift would be 2 everywhere; rounding to 8 bits in both directions of the resize gives 1.
        assert float(np.abs(error).max(initial=0)) <= 1.01


@given(rules, sides, sides, st.integers(32, 80), st.integers(32, 80))
def test_a_constant_prediction_stays_constant(rule: ResizeRule, height: int, width: int, rows: int, cols: int) -> None:
    frame = geometry(_contract(rule, rows, cols), height=height, width=width)
    for shape in ((rows, cols), (rows // 2, cols // 2), (2 * rows, 2 * cols)):
        back, seen = frame.to_original(np.full(shape, 3.5, np.float32))
        assert (back == 3.5).all()
        assert seen.any()
        assert seen.all() or rule is ResizeRule.CROP


@given(sides, sides, st.integers(32, 80), st.integers(32, 80))
def test_padding_is_never_mixed_in(height: int, width: int, rows: int, columns: int) -> None:
    frame = geometry(_contract(ResizeRule.PAD, rows, columns), height=height, width=width)
    prediction = np.full((rows, columns), 1e6, np.float32)
    top, left, bottom, right = frame.inner
    prediction[top:bottom, left:right] = 1.0
    assert (frame.to_original(prediction)[0] == 1.0).all()


def test_what_is_cut_off_is_not_covered() -> None:
    frame = geometry(_contract(ResizeRule.CROP, 64, 64), height=64, width=128)
    _, seen = frame.to_original(np.zeros((64, 64), np.float32))
    assert seen.all(axis=0).sum() == 64
    assert not seen[:, :32].any()
    assert seen[:, 32:96].all()


def test_sampling_at_a_point_is_reading_the_map_there() -> None:
    frame = geometry(_contract(ResizeRule.SQUASH, 4, 4), height=8, width=2)
    np.testing.assert_allclose(
        frame.to_network(np.array([[0, 0], [7, 1], [3, 0]])), [[-0.25, 0.5], [3.25, 2.5], [1.25, 0.5]]
    )
    back, _ = frame.to_original(np.arange(16, dtype=np.float32).reshape(4, 4))
    assert back[3, 0] == pytest.approx(1.25 * 4 + 0.5)


def test_wrong_shapes_are_refused() -> None:
    contract = _contract(ResizeRule.SQUASH, 32, 32)
    with pytest.raises(ValueError, match="positive sides"):
        geometry(contract, height=0, width=4)
    with pytest.raises(ValueError, match=r"\[h, w\]"):
        geometry(contract, height=40, width=40).to_original(np.zeros((1, 32, 32), np.float32))
    for wrong in (np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3), np.float32), np.zeros((40, 40, 4), np.uint8)):
        with pytest.raises(ValueError, match="an image is"):
            preprocess(wrong, contract)  # type: ignore[arg-type]


@pytest.mark.parametrize("color", ColorOrder)
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_the_formula_holds_for_every_order_and_layout(color: ColorOrder, layout: Layout, scale: float) -> None:
    mean, std = (0.485 * scale, 0.456 * scale, 0.406 * scale), (0.229 * scale, 0.224 * scale, 0.225 * scale)
    contract = InputContract(40, 56, mean=mean, std=std, scale=scale, color=color, layout=layout)
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    ordered = image if color is ColorOrder.RGB else image[:, :, ::-1]
    wanted = (ordered / 255 * scale - np.array(mean)) / np.array(std)
    tensor = preprocess(image, contract)
    assert tensor.shape == contract.shape
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    found = tensor[0].transpose(1, 2, 0) if layout is Layout.NCHW else tensor[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_padding_is_the_mean_colour() -> None:
    contract = _contract(ResizeRule.PAD, 64, 64, mean=(0.4, 0.5, 0.6))
    tensor = preprocess(np.full((32, 64, 3), 255, np.uint8), contract)
    assert (tensor[0, :, :16] == 0).all()
    assert (tensor[0, :, 48:] == 0).all()
    assert (tensor[0, :, 16:48] != 0).all()


def test_padding_is_even_with_the_odd_pixel_behind() -> None:
    frame = geometry(_contract(ResizeRule.PAD, 33, 32), height=32, width=32)
    assert frame.inner == (0, 0, 32, 32)


def test_cropping_sees_the_middle() -> None:
    image = np.zeros((40, 120, 3), np.uint8)
    image[:, 40:80] = 255
    tensor = preprocess(image, _contract(ResizeRule.CROP, 40, 40, interpolation=Interpolation.NEAREST))
    assert (tensor == 1).all()


def test_descriptions_name_rule_and_filter() -> None:
    assert describe(InputContract(256, 256)) == "squashed to 256x256, bicubic (Pillow, antialiased)"
    words = {describe(_contract(rule, 32, 64, interpolation=how)) for rule in ResizeRule for how in Interpolation}
    assert len(words) == 9
    assert all("32x64" in text and "Pillow" in text for text in words)
