"""Resizes are products with constant matrices."""

from collections import Counter

import onnx_ir as ir
import pytest

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.passes.resize_as_matmul import ResizeAsMatMul
from depthdeploy.operations import macs_of
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function

ONE = ResizeAsMatMul(64)


def rewritten(attributes: str, before: str, after: str, one: ResizeAsMatMul = ONE) -> ir.Model:
    rank = before.count(",") + 1
    proto = build(
        f"""g (float[{before}] image) => (float[{after}] depth) <int64[{rank}] f = {{{after}}}>
        {{ depth = Resize <{attributes}> (image, , , f) }}"""
    )
    model = ir.from_proto(proto)
    assert one(model) == (model.graph[0].op_type != "Resize")
    assert_same_function(proto, model)
    return model


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize("rule", ["align_corners", "half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ['mode="linear"', 'mode="cubic"', 'mode="linear", antialias=1'])
@pytest.mark.parametrize("after", ["1,2,10,13", "1,2,3,4"])
def test_every_rule_is_two_products(mode: str, rule: str, after: str) -> None:
    model = rewritten(f'{mode}, coordinate_transformation_mode="{rule}"', "1,2,5,7", after)
    assert operators(model) == {"MatMul": 2}


def test_a_side_that_stays_needs_no_product() -> None:
    model = rewritten('mode="linear"', "1,2,5,7", "1,2,5,14")
    assert [node.name for node in model.graph] == ["depth_along_width"]
    assert [node.name for node in rewritten('mode="linear"', "1,2,5,7", "1,2,10,7").graph] == ["depth_along_height"]


@pytest.mark.parametrize("after", ["1,2,40,8", "1,2,8,40", "1,2,3,30", "1,2,30,3"])
def test_the_order_is_the_cheaper_one(after: str) -> None:
    model = rewritten('mode="linear"', "1,2,6,6", after)
    *_, tall, wide = map(int, after.split(","))
    orders = 2 * 6 * wide * (6 + tall), 2 * 6 * tall * (6 + wide)
    assert sum(macs_of(node) for node in model.graph) == min(orders)


def test_large_maps_stay() -> None:
    assert operators(rewritten('mode="linear"', "1,2,5,7", "1,2,5,65")) == {"Resize": 1}
    assert operators(rewritten('mode="linear"', "1,2,5,65", "1,2,5,7")) == {"Resize": 1}
    assert operators(rewritten('mode="linear"', "1,2,5,7", "1,2,5,64")) == {"MatMul": 1}


def test_neighbours_where_they_are_asked_for() -> None:
    assert operators(rewritten('mode="nearest"', "1,2,5,7", "1,2,11,9")) == {"Resize": 1}
    model = rewritten('mode="nearest"', "1,2,5,7", "1,2,11,9", ResizeAsMatMul(64, ("nearest",)))
    assert operators(model) == {"MatMul": 2}


def test_only_the_rules_that_are_asked_for() -> None:
    one = ResizeAsMatMul(64, rules=("align_corners",))
    assert operators(rewritten('mode="linear"', "1,2,5,7", "1,2,10,14", one)) == {"Resize": 1}
    corners = 'mode="linear", coordinate_transformation_mode="align_corners"'
    assert operators(rewritten(corners, "1,2,5,7", "1,2,10,14", one)) == {"MatMul": 2}


def test_a_vector_and_a_plane() -> None:
    assert operators(rewritten('mode="linear"', "5,7", "10,14")) == {"MatMul": 2}


def test_values_between_have_their_shapes() -> None:
    model = rewritten('mode="linear"', "1,2,5,7", "1,2,10,14")
    assert [static_shape(node.outputs[0]) for node in model.graph] in (
        [(1, 2, 5, 14), (1, 2, 10, 14)],
        [(1, 2, 10, 7), (1, 2, 10, 14)],
    )


def test_channels_are_no_side() -> None:
    model = ir.from_proto(
        build(
            """g (float[1,2,5,7] image) => (float[1,4,5,14] depth) <int64[4] f = {1, 4, 5, 14}>
            { depth = Resize <mode="linear"> (image, , , f) }"""
        )
    )
    assert not ResizeAsMatMul(64)(model)


def test_what_a_crop_takes_from_beyond_the_image_is_no_product() -> None:
    model = ir.from_proto(
        build(
            """g (float[1,2,5,7] image) => (float[1,2,5,14] depth)
            <float[8] r = {0, 0, 0, 0, 1, 1, 1, 1.5}, int64[4] f = {1, 2, 5, 14}>
            { depth = Resize <mode="linear", coordinate_transformation_mode="tf_crop_and_resize"> (image, r, , f) }"""
        )
    )
    assert not ResizeAsMatMul(64)(model)


@pytest.mark.parametrize(
    ("rule", "after", "stays"),
    [
        ("half_pixel", "1,2,10,21", True),
        ("half_pixel", "1,2,10,20", False),
        ("align_corners", "1,2,9,19", True),
        ("align_corners", "1,2,10,14", False),
        ("asymmetric", "1,2,5,14", True),
    ],
)
def test_whole_factors_are_spared_where_that_is_asked_for(rule: str, after: str, stays: bool) -> None:
    spare = ResizeAsMatMul(64, spare_whole=True)
    model = rewritten(f'mode="linear", coordinate_transformation_mode="{rule}"', "1,2,5,7", after, spare)
    assert (model.graph[0].op_type == "Resize") is stays


def test_rows_of_too_many_values_stay() -> None:
    attributes = 'mode="linear", coordinate_transformation_mode="align_corners"'
    assert operators(rewritten(attributes, "1,4,5,7", "1,4,10,14", ResizeAsMatMul(64, largest_plane=56)))["MatMul"] == 2
    assert operators(rewritten(attributes, "1,4,5,7", "1,4,10,14", ResizeAsMatMul(64, largest_plane=55)))["Resize"] == 1
