"""Channels are where running the graph on their numbers finds them."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx_ir as ir
import pytest

from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.quantization.tracing import readings
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, outputs

# Each takes [1, 4, 6, 8] to [1, 4, 6, 8] in two or three moves.
MOVES = (
    "{x}_a = Reshape ({x}, to_heads)\n{x}_b = Transpose <perm=[0,2,1,3]> ({x}_a)\n{y} = Reshape ({x}_b, back)",
    "{x}_a = Transpose <perm=[0,2,3,1]> ({x})\n{y} = Reshape ({x}_a, back)",
    "{x}_a, {x}_b = Split <axis=3, num_outputs=2> ({x})\n{y} = Concat <axis=3> ({x}_b, {x}_a)",
    "{y} = Gather <axis=1> ({x}, order)",
    "{y} = Gather <axis=3> ({x}, lanes)",
    "{x}_a = Slice ({x}, start, till, last, every)\n{x}_b = Unsqueeze ({x}_a, last)\n{y} = Squeeze ({x}_b, last)",
    "{x}_a = Flatten <axis=2> ({x})\n{y} = Reshape ({x}_a, back)",
)


def chain(steps: list[int]) -> ir.Model:
    body = ["v0 = Relu (image)", *(MOVES[step].format(x=f"v{i}", y=f"v{i + 1}") for i, step in enumerate(steps))]
    text = "\n".join([*body, f"depth = Neg (v{len(steps)})"])
    columns = 4 if steps and steps[-1] == 5 else 8
    proto = build(
        f"""g (float[1,4,6,8] image) => (float[1,4,6,{columns}] depth)
        <int64[4] to_heads = {{4, 6, 2, 4}}, int64[4] back = {{1, 4, 6, 8}},
         int64[4] order = {{3, 0, -3, 2}}, int64[8] lanes = {{7, 1, 2, 0, 4, 5, 3, 6}},
         int64[1] start = {{-7}}, int64[1] till = {{9223372036854775807}}, int64[1] last = {{3}},
         int64[1] every = {{2}}>
        {{ {text} }}"""
    )
    model = ir.from_proto(proto)
    canonicalize(model)
    return model


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.sampled_from([0, 1, 3, 4, 6]), max_size=4), st.booleans(), st.sampled_from([1, 2, 3]))
def test_moves_are_followed_exactly(steps: list[int], shortened: bool, axis: int) -> None:
    model = chain([*steps, 5] if shortened else steps)
    values = {value.name: value for node in model.graph for value in node.outputs}
    shape = (1, 4, 6, 8)
    numbers = np.arange(shape[axis]).reshape([-1 if dim == axis else 1 for dim in range(4)])
    found = [reading for reading in readings(values["v0"], axis) if reading.node and reading.node.op_type == "Neg"]
    expected = -outputs(as_proto(model), np.broadcast_to(numbers, shape).astype(np.float32))[0]
    assert len(found) == 1
    np.testing.assert_array_equal(found[0].channels, expected)


def test_parts_of_a_split_are_followed_to_who_reads_them() -> None:
    model = chain([2])
    values = {value.name: value for node in model.graph for value in node.outputs}
    found = readings(values["v0"], 3)
    parts = {reading.index: reading.along(-1) for reading in found}
    assert {reading.node.op_type for reading in found if reading.node} == {"Concat"}
    np.testing.assert_array_equal(parts[1], [0, 1, 2, 3])
    np.testing.assert_array_equal(parts[0], [4, 5, 6, 7])


def test_mixed_channels_are_none() -> None:
    model = chain([1])
    values = {value.name: value for node in model.graph for value in node.outputs}
    (reading,) = readings(values["v0"], 1)
    assert all(reading.along(axis) is None for axis in (1, 2))


@pytest.mark.parametrize("side", [0, 1])
def test_a_product_is_passed_from_its_right_side_alone(side: int) -> None:
    operands = "soft, v0" if side else "v0, soft"
    model = ir.from_proto(
        build(
            f"""g (float[1,3,4,4] image) => (float[1,3,4,4] depth)
            {{ v0 = Neg (image)\nsoft = Softmax (image)\nmixed = MatMul ({operands})\ndepth = Softmax (mixed) }}"""
        )
    )
    canonicalize(model)
    values = {value.name: value for node in model.graph for value in node.outputs}
    (reading,) = readings(values["v0"], -1, computing=True)
    assert reading.node is not None
    assert reading.node.op_type == ("Softmax" if side else "MatMul")
    assert reading.through == (frozenset({"MatMul"}) if side else frozenset())
