"""Clamps by Relu, Min and Max."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.clip_as_relu import ClipAsRelu
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def graph(bounds: str, low: float = 0.0, high: float = 6.0) -> onnx.ModelProto:
    return build(
        f"""g (float[1,3,8,8] image) => (float[1,3,8,8] depth) <float low = {{{low:.8f}}}, float high = {{{high:.8f}}}>
        {{ x = Add (image, high)\ny = Clip (x{bounds})\ndepth = Neg (y) }}"""
    )


def rewritten(proto: onnx.ModelProto, one: ClipAsRelu) -> list[str]:
    model = inferred(proto)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph][1:-1]


def test_a_clamp_at_0_alone_is_relu() -> None:
    assert rewritten(graph(", low"), ClipAsRelu()) == ["Relu"]


def test_other_clamps_stay_unless_asked() -> None:
    assert not ClipAsRelu()(inferred(graph(", low, high")))
    assert not ClipAsRelu()(inferred(graph(", low", low=0.5)))


@pytest.mark.parametrize(
    ("bounds", "low", "found"),
    [
        (", low, high", 0.0, ["Relu", "Min"]),
        (", low, high", -1.0, ["Max", "Min"]),
        (", , high", 0.0, ["Min"]),
        (", low", 1.0, ["Max"]),
        ("", 0.0, ["Identity"]),
    ],
)
def test_bounds_by_minimum_and_maximum(bounds: str, low: float, found: list[str]) -> None:
    proto = graph(bounds, low=low)
    if found == ["Identity"]:
        model = inferred(proto)
        assert ClipAsRelu("min-max")(model)
        assert [node.op_type for node in model.graph] == ["Add", "Neg"]
        assert_same_function(proto, model)
    else:
        assert rewritten(proto, ClipAsRelu("min-max")) == found


def test_bounds_that_are_computed_stay() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,3,8,8] depth) <float zero = {0}>
        { most = ReduceMax <keepdims=0> (image)\ndepth = Clip (image, zero, most) }"""
    )
    assert not ClipAsRelu("min-max")(inferred(proto))


@settings(max_examples=30, deadline=None)
@given(low=st.floats(-4, 4, width=32), high=st.floats(-4, 4, width=32))
def test_the_function_is_kept_where_the_bounds_cross_too(low: float, high: float) -> None:
    rewritten(graph(", low, high", low=low, high=high), ClipAsRelu("min-max"))


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_keep_their_function(name: str) -> None:
    proto = all_graphs()[name]
    model = inferred(proto)
    ClipAsRelu("min-max")(model)
    assert "Clip" not in [node.op_type for node in model.graph]
    assert_same_function(proto, model)
