"""Axes of size 1 by Reshape."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.passes.squeeze_as_reshape import SqueezeAsReshape
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def rewritten(proto: onnx.ModelProto, one: SqueezeAsReshape) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return model


CHAIN = """g (float[1,3,1,8] image) => (float[1,24] depth) <int64[1] two = {-2}, int64[2] ends = {0, 4}>
{ x = Squeeze (image, two)\ny = Unsqueeze (x, ends)\nz = Squeeze (y)\nw = Flatten <axis=0> (z)\ndepth = Neg (w) }"""


def test_all_three_become_reshapes() -> None:
    model = rewritten(build(CHAIN), SqueezeAsReshape())
    assert [node.op_type for node in model.graph] == ["Reshape"] * 4 + ["Neg"]


def test_only_the_listed_ones_do() -> None:
    model = rewritten(build(CHAIN), SqueezeAsReshape(("Flatten",)))
    assert [node.op_type for node in model.graph] == ["Squeeze", "Unsqueeze", "Squeeze", "Reshape", "Neg"]
    assert not SqueezeAsReshape(())(model)


def test_a_scalar_has_an_empty_shape() -> None:
    proto = build(
        """g (float[1] image) => (float[1] depth) <int64[1] first = {0}>
        { x = Squeeze (image, first)\ny = Neg (x)\ndepth = Unsqueeze (y, first) }"""
    )
    rewritten(proto, SqueezeAsReshape())


def test_an_open_shape_stays() -> None:
    proto = build(
        """g (float[1,n,4] image) => (float[n,4] depth) <int64[1] first = {0}> { depth = Squeeze (image, first) }"""
    )
    assert not SqueezeAsReshape()(ir.from_proto(proto))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(0, 5))
def test_flatten_at_every_axis(shape: list[int], axis: int) -> None:
    sizes, axis = ",".join(map(str, shape)), min(axis, len(shape))
    proto = build(
        f"g (float[{sizes}] image) => (float[a,b] depth) {{ x = Neg (image)\ndepth = Flatten <axis={axis}> (x) }}"
    )
    rewritten(proto, SqueezeAsReshape())


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_stay(name: str) -> None:
    assert not SqueezeAsReshape()(ir.from_proto(all_graphs()[name]))
