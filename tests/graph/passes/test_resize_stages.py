"""Large resizes are split where, and only where, the stages are the same function."""

from itertools import pairwise

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.passes.resize_stages import ResizeStages
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def heights(mode: str, size: int, resized: int, limit: int, form: str = "sizes") -> list[int]:
    """The heights after each stage."""
    proto = build(
        f"""g (float[1,2,{size},3] image) => (float[1,2,{resized},3] depth) <int64[4] f = {{1, 2, {resized}, 3}}>
        {{ depth = Resize <{mode}> (image, , , f) }}"""
    )
    model = ir.from_proto(proto)
    changed = ResizeStages(limit, "sizes" if form == "sizes" else "scales")(model)
    assert changed == (len(model.graph) > 1)
    assert_same_function(proto, model, atol=3e-5)
    assert [str(node.name).partition("_stage")[0] for node in model.graph] == ["depth"] * len(model.graph)
    shapes = [static_shape(node.outputs[0]) for node in model.graph]
    return [shape[2] for shape in shapes if shape is not None]


def linear(rule: str) -> str:
    return f'mode="linear", coordinate_transformation_mode="{rule}"'


def test_by_corners_every_grid_holds_the_pixels_of_the_one_before() -> None:
    assert heights(linear("align_corners"), 17, 513, 8) == [65, 513]  # 16 * 4 + 1, then by 8
    assert heights(linear("align_corners"), 8, 256, 8) == [43, 256]  # 7 * 6 + 1; no whole factor leads to 255


def test_by_asymmetric_whole_factors_compose() -> None:
    assert heights(linear("asymmetric"), 8, 256, 8) == [32, 256]
    assert heights(linear("asymmetric"), 4, 256, 4) == [16, 64, 256]


def test_at_half_pixels_odd_factors_compose() -> None:
    assert heights(linear("half_pixel"), 8, 72, 3) == [24, 72]
    assert heights(linear("pytorch_half_pixel"), 8, 72, 3) == [24, 72]


def test_the_resize_that_a_compiler_could_not_place_is_two() -> None:
    assert heights(linear("half_pixel"), 17, 513, 8) == [85, 513]


def test_at_half_pixels_even_factors_do_not_compose() -> None:
    assert heights(linear("half_pixel"), 8, 32, 2) == [32]


def test_neighbours_compose() -> None:
    assert heights('mode="nearest"', 4, 48, 4) == [12, 48]
    assert heights('mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"', 4, 64, 4) == [
        16,
        64,
    ]


def test_scales_are_given_where_they_are_asked_for() -> None:
    assert heights(linear("asymmetric"), 8, 256, 8, "scales") == [32, 256]


@pytest.mark.parametrize("mode", ['mode="cubic"', linear("tf_half_pixel_for_nn")])
def test_what_does_not_compose_stays(mode: str) -> None:
    assert heights(mode, 4, 64, 4) == [64]


def test_what_is_small_enough_stays() -> None:
    assert heights(linear("asymmetric"), 8, 64, 8) == [64]
    assert heights(linear("asymmetric"), 64, 8, 8) == [8]


def test_a_side_that_needs_fewer_stages_waits() -> None:
    proto = build(
        """g (float[1,2,4,4] image) => (float[1,2,64,8] depth) <int64[4] f = {1, 2, 64, 8}>
        { depth = Resize <mode="linear", coordinate_transformation_mode="asymmetric"> (image, , , f) }"""
    )
    model = ir.from_proto(proto)
    assert ResizeStages(4)(model)
    assert [static_shape(node.outputs[0]) for node in model.graph] == [(1, 2, 16, 4), (1, 2, 64, 8)]
    assert_same_function(proto, model)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 12),
    resized=st.integers(1, 200),
    limit=st.integers(2, 8),
    rule=st.sampled_from(("asymmetric", "align_corners", "half_pixel")),
)
def test_no_stage_grows_by_more_than_the_limit(size: int, resized: int, limit: int, rule: str) -> None:
    found = [size, *heights(linear(rule), size, resized, limit)]
    assert found[-1] == resized
    if len(found) > 2:
        assert resized > limit * size
        assert all(after <= limit * before for before, after in pairwise(found))
    elif resized > limit * size:  # stays only where even odd factors are too large, or more stages than four are needed
        assert rule == "half_pixel" or resized > size * (limit - 1) ** 3


@pytest.mark.parametrize("rule", ["asymmetric", "align_corners"])
@pytest.mark.parametrize("factor", [16, 32])
def test_large_factors_of_decoders_are_split(rule: str, factor: int) -> None:
    assert len(heights(linear(rule), 12, 12 * factor, 8)) == 2
