"""A split is slices."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.passes.split_as_slice import SplitAsSlice
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def rewritten(proto: onnx.ModelProto) -> list[str]:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert SplitAsSlice()(model)
    assert not SplitAsSlice()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph]


def test_equal_parts() -> None:
    proto = build(
        """g (float[1,6,4,4] image) => (float[1,6,4,4] depth)
        { x = Neg (image)\na, b, c = Split <axis=1, num_outputs=3> (x)\ndepth = Concat <axis=1> (c, a, b) }"""
    )
    assert rewritten(proto) == ["Neg", "Slice", "Slice", "Slice", "Concat"]


def test_parts_that_nobody_reads_are_not_made() -> None:
    proto = build(
        """g (float[1,7,4,4] image) => (float[1,4,4,4] depth)
        { x = Neg (image)\na, b = Split <axis=-3, num_outputs=2> (x)\ndepth = Neg (a) }"""
    )
    assert rewritten(proto) == ["Neg", "Slice", "Neg"]


def test_outputs_of_the_graph_keep_their_names() -> None:
    proto = build(
        """g (float[1,5] image) => (float[1,2] depth, float[1,3] rest) <int64[2] sizes = {2, 3}>
        { depth, rest = Split <axis=1> (image, sizes) }"""
    )
    assert rewritten(proto) == ["Slice", "Slice"]


def test_open_sizes_stay() -> None:
    proto = build(
        """g (float[1,n] image) => (float[1,a] depth) { depth, rest = Split <axis=1, num_outputs=2> (image) }"""
    )
    assert not SplitAsSlice()(ir.from_proto(proto))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4), axis=st.integers(-3, 2))
def test_uneven_parts_along_every_axis(sizes: list[int], axis: int) -> None:
    shape = [2, 3, 2]
    shape[axis] = sum(sizes)
    names = ", ".join(f"p{index}" for index in range(len(sizes)))
    proto = build(
        f"""g (float[{",".join(map(str, shape))}] image) => (float[a,b,c] depth)
        <int64[{len(sizes)}] sizes = {{{", ".join(map(str, sizes))}}}>
        {{ x = Neg (image)\n{names} = Split <axis={axis}> (x, sizes)\ndepth = Concat <axis={axis}> (p1, p0) }}"""
    )
    rewritten(proto)


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_stay(name: str) -> None:
    assert not SplitAsSlice()(ir.from_proto(all_graphs()[name]))
