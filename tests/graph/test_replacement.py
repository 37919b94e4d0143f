"""What stands in for a node has its place, its name, a shape and a type, and leaves nothing unread behind."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.replacement import Replacement, broadcast, opset, prune, reduced
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, assert_same_function


def graph() -> tuple[onnx.ModelProto, ir.Model]:
    proto = build(
        """g (float[1,4,6] image) => (float[1,4,6] depth, float[1,4,6] other)
        <float half = {0.5}, float[6] w, float unread_with_it = {2}>
        {
            x = Neg (image)
            fed = Mul (x, unread_with_it)
            middle = Add (fed, w)
            depth = Mul (middle, half)
            other = Mul (x, half)
        }"""
    )
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return proto, model


def node(model: ir.Model, name: str) -> ir.Node:
    return next(one for one in model.graph if one.name == name)


def test_a_node_is_replaced_in_its_place_under_its_name() -> None:
    proto, model = graph()
    old = node(model, "depth")
    parts = Replacement(model, old)
    doubled = parts.make("Add", [old.inputs[0], old.inputs[0]], "doubled")
    parts.finish(parts.make("Mul", [doubled, parts.number(0.25, "quarter", like=doubled)], "quartered"))
    assert [one.name for one in model.graph] == ["x", "fed", "middle", "depth_doubled", "depth_quartered", "other"]
    assert model.graph.outputs[0].name == "depth"
    assert doubled.shape == ir.Shape([1, 4, 6])
    assert doubled.dtype == ir.DataType.FLOAT
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)


def test_what_fed_it_alone_goes_with_it() -> None:
    _, model = graph()
    old = node(model, "depth")
    parts = Replacement(model, old)
    parts.finish(parts.make("Neg", [node(model, "x").outputs[0]], "negated"))
    assert [one.name for one in model.graph] == ["x", "depth_negated", "other"]
    assert set(model.graph.initializers) == {"half"}
    onnx.checker.check_model(as_proto(model), full_check=True)


def test_names_that_are_taken_get_a_number() -> None:
    _, model = graph()
    parts = Replacement(model, node(model, "depth"))
    names = [parts.number(1.0, "one", like=model.graph.inputs[0]).name for _ in range(3)]
    assert names == ["depth_one", "depth_one_1", "depth_one_2"]
    again = Replacement(model, node(model, "depth"))
    assert again.constant(np.zeros(3), "one").name == "depth_one_3"


def test_numbers_have_the_type_of_what_they_meet() -> None:
    _, model = graph()
    parts = Replacement(model, node(model, "depth"))
    half = ir.Value(name="h", type=ir.TensorType(ir.DataType.FLOAT16), shape=ir.Shape([2]))
    assert parts.number(0.5, "half", like=half).dtype == ir.DataType.FLOAT16


def test_several_outputs_share_a_node() -> None:
    _, model = graph()
    parts = Replacement(model, node(model, "depth"))
    sizes = parts.constant(np.array([2, 2, 2], dtype=np.int64), "sizes")
    source = node(model, "middle").outputs[0]
    shape, axis = ir.Shape([1, 4, 2]), [ir.AttrInt64("axis", -1)]
    pieces = parts.make_several("Split", [source, sizes], ["a", "b", "c"], shape=shape, attributes=axis)
    assert [one.name for one in pieces] == ["depth_a", "depth_b", "depth_c"]
    assert {one.producer() for one in pieces} == {node(model, "depth_a")}


def test_a_node_of_two_outputs_stays_until_both_are_taken_over() -> None:
    proto = build(
        """g (float[1,2,8] image) => (float[1,2,8] depth)
        <float[8] w_gain>
        { norm, mean = LayerNormalization (image, w_gain)\ndepth = Add (norm, mean) }"""
    )
    model = ir.from_proto(proto)
    old = node(model, "norm")
    for index, what in ((1, "first"), (0, "second")):
        parts = Replacement(model, old)
        parts.finish(parts.make("Neg", [model.graph.inputs[0]], what, shape=old.outputs[index].shape), index)
        assert (old in list(model.graph)) == (index == 1)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(1, 4, 6), (6,)], (1, 4, 6)),
        ([(1, 4, 1), (2, 1, 6)], (2, 4, 6)),
        ([(), ()], ()),
        ([(1, "N", 6), (6,)], (1, "N", 6)),
        ([None, (6,)], None),
    ],
)
def test_shapes_are_broadcast(
    shapes: list[tuple[int | str, ...] | None], expected: tuple[int | str, ...] | None
) -> None:
    values = [ir.Value(name="v", shape=None if shape is None else ir.Shape(shape)) for shape in shapes]
    found = broadcast(values)
    assert found == (None if expected is None else ir.Shape(expected))


def test_reductions_keep_dimensions() -> None:
    value = ir.Value(name="v", shape=ir.Shape([1, 4, 6]))
    assert reduced(value, [1, 2]) == ir.Shape([1, 1, 1])
    assert reduced(ir.Value(name="u"), [0]) is None


def test_what_is_read_is_not_pruned() -> None:
    _, model = graph()
    before = len(model.graph)
    prune(model, node(model, "middle"))
    prune(model, node(model, "other"))
    assert len(model.graph) == before
    assert opset(model) == 18
