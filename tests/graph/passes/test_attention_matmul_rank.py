"""Stacks of matrices are multiplied with one axis for the stack."""

import math

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.attention_matmul_rank import MatMulRank
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function
from depthdeploy.testing.transformer_graphs import block


def graph(left: tuple[int, ...], right: tuple[int, ...], result: tuple[int, ...]) -> onnx.ModelProto:
    first, second, third = (",".join(map(str, shape)) for shape in (left, right, result))
    return build(
        f"""g (float[{first}] image) => (float[{third}] depth) <float[{second}] w>
        {{ x = Neg (image)\nw_turned = Neg (w)\nproduct = MatMul (x, w_turned)\ndepth = Neg (product) }}"""
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def shapes(model: ir.Model) -> list[tuple[int, ...]]:
    (node,) = (node for node in model.graph if node.op_type == "MatMul")
    values = (*node.inputs, *node.outputs)
    return [tuple(value.shape.numpy()) for value in values if value is not None and value.shape is not None]


CASES = {
    "heads": ((1, 3, 5, 4), (1, 3, 4, 2), (1, 3, 5, 2), [(3, 5, 4), (3, 4, 2), (3, 5, 2)]),
    "batch and heads": ((2, 3, 5, 4), (2, 3, 4, 2), (2, 3, 5, 2), [(6, 5, 4), (6, 4, 2), (6, 5, 2)]),
    "one matrix for all": ((2, 3, 5, 4), (4, 2), (2, 3, 5, 2), [(6, 5, 4), (4, 2), (6, 5, 2)]),
    "one matrix for all, with axes": ((2, 3, 5, 4), (1, 1, 4, 2), (2, 3, 5, 2), [(6, 5, 4), (4, 2), (6, 5, 2)]),
    "one before a stack": ((1, 1, 5, 4), (2, 3, 4, 2), (2, 3, 5, 2), [(5, 4), (6, 4, 2), (6, 5, 2)]),
    "three axes beside four": ((1, 3, 5, 4), (3, 4, 2), (1, 3, 5, 2), [(3, 5, 4), (3, 4, 2), (3, 5, 2)]),
    "one of each": ((1, 1, 5, 4), (1, 1, 4, 2), (1, 1, 5, 2), [(1, 5, 4), (1, 4, 2), (1, 5, 2)]),
}


@pytest.mark.parametrize(("left", "right", "result", "expected"), CASES.values(), ids=CASES)
def test_one_axis_is_left_for_the_stack(
    left: tuple[int, ...], right: tuple[int, ...], result: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    proto = graph(left, right, result)
    model = inferred(proto)
    assert MatMulRank()(model)
    assert not MatMulRank()(model)
    assert shapes(model) == expected
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ((1, 3, 4), (1, 4, 2), (1, 3, 2)),
        ((2, 1, 3, 4), (1, 3, 4, 2), (2, 3, 3, 2)),
        ((2, 3, 5, 4), (3, 4, 2), (2, 3, 5, 2)),
        ((2, 3, 5, 4), (4,), (2, 3, 5)),
    ],
)
def test_few_axes_and_stacks_that_would_be_repeated_stay(
    left: tuple[int, ...], right: tuple[int, ...], result: tuple[int, ...]
) -> None:
    assert not MatMulRank()(inferred(graph(left, right, result)))


def test_a_block_of_a_transformer_keeps_its_function() -> None:
    proto = block(heads=3)
    model = ir.from_proto(proto)
    canonicalize(model)
    assert MatMulRank()(model)
    products = [node for node in model.graph if node.op_type == "MatMul"]
    assert all(len(value.shape or ()) <= 3 for node in products for value in node.outputs)
    assert_same_function(proto, model)


@pytest.mark.parametrize("name", all_graphs())
def test_the_law(name: str) -> None:
    model = inferred(all_graphs()[name])
    assert MatMulRank()(model) == name.startswith("attention")
    assert_same_function(all_graphs()[name], model)


@settings(max_examples=30, deadline=None)
@given(
    stack=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(lambda sizes: (1, *sizes)),
    inner=st.tuples(*[st.integers(1, 4)] * 3),
    single=st.sampled_from(["none", "left", "right"]),
)
def test_any_stack(stack: tuple[int, ...], inner: tuple[int, int, int], single: str) -> None:
    rows, common, columns = inner
    ones = (1,) * len(stack)
    left = (*(ones if single == "left" else stack), rows, common)
    right = (*(ones if single == "right" else stack), common, columns)
    proto = graph(left, right, (*stack, rows, columns))
    model = inferred(proto)
    assert MatMulRank()(model)
    assert shapes(model)[2] == (math.prod(stack), rows, columns)
    assert_same_function(proto, model)
