"""Nearest resizes by whole factors are said in one way, where it is the same one."""

import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.resize_integer_factor import ResizeIntegerFactor
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def rule(attributes: str, after: tuple[int, int]) -> tuple[str, str]:
    tall, wide = after
    proto = build(
        f"""g (float[1,2,6,6] image) => (float[1,2,{tall},{wide}] depth) <int64[4] f = {{1, 2, {tall}, {wide}}}>
        {{ depth = Resize <{attributes}> (image, , , f) }}"""
    )
    model = ir.from_proto(proto)
    ResizeIntegerFactor()(model)
    assert_same_function(proto, model)
    found = model.graph[0].attributes
    return (
        found.get_string("coordinate_transformation_mode", "half_pixel") or "",
        found.get_string("nearest_mode", "round_prefer_floor") or "",
    )


@pytest.mark.parametrize("after", [(12, 12), (18, 12), (6, 24), (30, 30)])
def test_the_default_rule_repeats_pixels(after: tuple[int, int]) -> None:
    assert rule('mode="nearest"', after) == ("asymmetric", "floor")


def test_pytorchs_rule_repeats_pixels() -> None:
    attributes = 'mode="nearest", coordinate_transformation_mode="pytorch_half_pixel", nearest_mode="round_prefer_ceil"'
    assert rule(attributes, (12, 18)) == ("asymmetric", "floor")


@pytest.mark.parametrize("after", [(2, 2), (3, 1)])
def test_every_nth_pixel_is_kept_where_the_rule_keeps_it(after: tuple[int, int]) -> None:
    attributes = 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="round_prefer_ceil"'
    assert rule(attributes, after) == ("asymmetric", "floor")


def test_shrinking_around_the_middle_is_another_function() -> None:
    assert rule('mode="nearest"', (2, 2)) == ("half_pixel", "round_prefer_floor")


@pytest.mark.parametrize("after", [(9, 12), (7, 6)])
def test_broken_factors_stay(after: tuple[int, int]) -> None:
    assert rule('mode="nearest"', after) == ("half_pixel", "round_prefer_floor")


def test_corners_stay() -> None:
    attributes = 'mode="nearest", coordinate_transformation_mode="align_corners", nearest_mode="floor"'
    assert rule(attributes, (12, 12)) == ("align_corners", "floor")


def test_other_interpolations_stay() -> None:
    assert rule('mode="linear"', (12, 12))[0] == "half_pixel"


def test_rounding_up_is_another_function() -> None:
    assert rule('mode="nearest", nearest_mode="ceil"', (12, 12)) == ("half_pixel", "ceil")
