"""Softmax over any axis is over the last one, between two transposes."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.passes.softmax_axis_last import SoftmaxAxisLast
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function


def graph(shape: tuple[int, ...], axis: int, operator: str = "Softmax") -> onnx.ModelProto:
    sizes = ",".join(map(str, shape))
    return build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth)
        {{ x = Neg (image)\ny = {operator} <axis={axis}> (x)\ndepth = Neg (y) }}"""
    )


def moved(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert SoftmaxAxisLast()(model)
    assert not SoftmaxAxisLast()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return model


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_another_axis_changes_places_with_the_last(operator: str) -> None:
    model = moved(graph((1, 3, 4, 5), 1, operator))
    assert [node.op_type for node in model.graph] == ["Neg", "Transpose", operator, "Transpose", "Neg"]
    _, before, softmax, _, _ = model.graph
    assert before.attributes.get_ints("perm") == (0, 3, 2, 1)
    assert softmax.attributes.get_int("axis") == -1
    assert softmax.outputs[0].shape == ir.Shape([1, 5, 4, 3])
    assert (softmax.name or "").startswith("y_")


@pytest.mark.parametrize("axis", [-1, 3])
def test_the_last_axis_stays(axis: int) -> None:
    model = ir.from_proto(graph((1, 3, 4, 5), axis))
    ShapeInference()(model)
    assert not SoftmaxAxisLast()(model)


def test_sizes_that_are_not_known_move_with_their_axes() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]>
        g (float[1,C,H,W] x) => (float[1,C,H,W] y) { y = Softmax <axis=1> (x) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    assert SoftmaxAxisLast()(model)
    assert [str(size) for size in list(model.graph)[1].outputs[0].shape or ()] == ["1", "W", "H", "C"]
    onnx.checker.check_model(as_proto(model), full_check=True)


@pytest.mark.parametrize("name", all_graphs())
def test_the_law(name: str) -> None:
    model = ir.from_proto(all_graphs()[name])
    ShapeInference()(model)
    assert not SoftmaxAxisLast()(model)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(lambda sizes: (1, *sizes)),
    data=st.data(),
    operator=st.sampled_from(["Softmax", "LogSoftmax"]),
)
def test_any_axis(shape: tuple[int, ...], data: st.DataObject, operator: str) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1).filter(lambda one: one % len(shape) != len(shape) - 1))
    proto = graph(shape, axis, operator)
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert SoftmaxAxisLast()(model)
    if operator == "Softmax" or shape[axis] > 1:  # otherwise all outputs are 0
        assert_same_function(proto, model)
