"""Growing by whole factors is a transposed convolution, borders included."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.resize_as_conv_transpose import ResizeAsConvTranspose
from depthdeploy.operations import macs_of
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function

ONE = ResizeAsConvTranspose()


def rewritten(attributes: str, before: str, after: str, one: ResizeAsConvTranspose = ONE) -> ir.Model:
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


def linear(rule: str) -> str:
    return f'mode="linear", coordinate_transformation_mode="{rule}"'


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("rule", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
def test_linear_growth_is_padding_and_a_layer(rule: str, factor: int) -> None:
    model = rewritten(linear(rule), "1,3,5,7", f"1,3,{5 * factor},{7 * factor}")
    assert operators(model) == {"Pad": 1, "ConvTranspose": 1}
    layer = model.graph[1]
    assert layer.attributes["group"].value == 3
    assert layer.attributes["strides"].value == (factor, factor)
    assert [node.name for node in model.graph] == ["depth_with_edges", "depth_transposed"]


def test_the_taps_at_half_pixels_are_a_triangle() -> None:
    model = rewritten(linear("half_pixel"), "1,1,4,4", "1,1,8,8")
    weight = model.graph[1].inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    line = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_array_equal(weight.const_value.numpy()[0, 0], np.outer(line, line))


def test_between_corners_no_padding_is_needed() -> None:
    model = rewritten(linear("align_corners"), "1,3,5,7", "1,3,17,25")
    assert operators(model) == {"ConvTranspose": 1}
    assert macs_of(model.graph[0]) == 3 * 5 * 7 * 7 * 7


def test_neighbours_are_a_layer_of_ones() -> None:
    model = rewritten('mode="nearest"', "1,3,5,7", "1,3,10,21")
    assert operators(model) == {"ConvTranspose": 1}
    weight = model.graph[0].inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    np.testing.assert_array_equal(weight.const_value.numpy(), np.ones((3, 1, 2, 3)))


def test_cubic_growth_where_it_is_asked_for() -> None:
    assert operators(rewritten('mode="cubic"', "1,3,5,7", "1,3,10,14")) == {"Resize": 1}
    model = rewritten('mode="cubic"', "1,3,5,7", "1,3,10,14", ResizeAsConvTranspose(("cubic",)))
    assert operators(model) == {"Pad": 1, "ConvTranspose": 1}


def test_one_side_alone_and_other_ranks() -> None:
    assert operators(rewritten(linear("half_pixel"), "1,3,5,7", "1,3,5,14")) == {"Pad": 1, "ConvTranspose": 1}
    assert operators(rewritten(linear("asymmetric"), "1,3,5", "1,3,10")) == {"Pad": 1, "ConvTranspose": 1}


def test_one_pixel_is_repeated() -> None:
    assert operators(rewritten(linear("align_corners"), "1,3,1,4", "1,3,5,10")) == {"ConvTranspose": 1}


@pytest.mark.parametrize(
    ("attributes", "after"),
    [
        (linear("align_corners"), "1,3,10,14"),  # (10 - 1) / (5 - 1) is broken
        (linear("half_pixel"), "1,3,8,14"),
        (linear("half_pixel"), "1,3,5,1"),
        (linear("half_pixel"), "1,6,10,14"),  # channels are no side
        ('mode="nearest", nearest_mode="ceil"', "1,3,10,14"),
        ('mode="cubic", exclude_outside=1', "1,3,10,14"),
    ],
)
def test_what_is_not_exact_stays(attributes: str, after: str) -> None:
    one = ResizeAsConvTranspose(("nearest", "linear", "cubic"))
    if after.startswith("1,6"):
        model = ir.from_proto(
            build(
                f"""g (float[1,3,5,7] image) => (float[{after}] depth) <int64[4] f = {{{after}}}>
                {{ depth = Resize <{attributes}> (image, , , f) }}"""
            )
        )
        assert not one(model)
    else:
        assert operators(rewritten(attributes, "1,3,5,7", after, one)) == {"Resize": 1}


def test_only_the_rules_that_are_asked_for() -> None:
    one = ResizeAsConvTranspose(rules=("align_corners",))
    assert operators(rewritten(linear("half_pixel"), "1,3,5,7", "1,3,10,14", one)) == {"Resize": 1}
    assert operators(rewritten(linear("align_corners"), "1,3,5,7", "1,3,9,13", one)) == {"ConvTranspose": 1}


def test_other_types_stay() -> None:
    model = ir.from_proto(
        build(
            """g (float16[1,3,4,4] image) => (float16[1,3,8,8] depth) <int64[4] f = {1, 3, 8, 8}>
            { depth = Resize <mode="linear"> (image, , , f) }"""
        )
    )
    assert not ResizeAsConvTranspose()(model)
