"""Slices by numbers within the tensor."""

from typing import Literal

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.edit import constant
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.passes.slice_lowering import SliceLowering
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def graph(*settings_: list[int], shape: str = "1,4,6,8") -> onnx.ModelProto:
    names = ("starts", "ends", "axes", "steps")[: len(settings_)]
    count = len(settings_[0])
    said = ", ".join(
        f"int64[{count}] {name} = {{{', '.join(map(str, numbers))}}}"
        for name, numbers in zip(names, settings_, strict=True)
    )
    rank = ",".join("abcdef"[: shape.count(",") + 1])
    return build(
        f"""g (float[{shape}] image) => (float[{rank}] depth) <{said}>
        {{ x = Neg (image)\ny = Slice (x, {", ".join(names)})\ndepth = Neg (y) }}"""
    )


def lowered(proto: onnx.ModelProto, one: SliceLowering) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return model


def numbers(node: ir.Node) -> list[list[int]]:
    return [array.tolist() for value in node.inputs[1:] if (array := constant(value)) is not None]


def test_indices_from_behind_and_beyond_the_end_become_plain_ones() -> None:
    model = lowered(graph([-7, -3], [9223372036854775807, -1], [3, -2]), SliceLowering())
    assert numbers(model.graph[1]) == [[3, 1], [5, 8], [2, 3]]


def test_axes_that_nobody_names_are_named_and_whole_ones_left_out() -> None:
    model = lowered(graph([0, 1], [9, 3]), SliceLowering())
    assert numbers(model.graph[1]) == [[1], [3], [1]]


def test_a_slice_that_keeps_everything_goes() -> None:
    model = lowered(graph([0, -6], [9, 6], [0, 2]), SliceLowering())
    assert [node.op_type for node in model.graph] == ["Neg", "Neg"]


def test_steps_of_1_are_left_out_and_others_kept_to_the_last_element() -> None:
    assert len(lowered(graph([1], [5], [2], [1]), SliceLowering()).graph[1].inputs) == 4
    model = lowered(graph([0], [6], [2], [2]), SliceLowering())
    assert numbers(model.graph[1]) == [[0], [5], [2], [2]]


def test_from_behind() -> None:
    model = lowered(graph([-1], [-9223372036854775808], [3], [-1]), SliceLowering())
    assert numbers(model.graph[1]) == [[7], [-9], [3], [-1]]
    model = lowered(graph([-1], [-9223372036854775808], [3], [-3]), SliceLowering(strided="gather"))
    assert [node.op_type for node in model.graph] == ["Neg", "Gather", "Neg"]


def test_one_axis_after_the_other() -> None:
    model = lowered(graph([1, 1, 0], [3, 4, 8], [1, 2, 3], [1, 1, 2]), SliceLowering(single_axis=True))
    assert [numbers(node) for node in model.graph if node.op_type == "Slice"] == [
        [[1], [3], [1]], [[1], [4], [2]], [[0], [7], [3], [2]],
    ]  # fmt: skip


def test_what_is_lowered_already_stays() -> None:
    model = ir.from_proto(graph([1], [5], [2]))
    ShapeInference()(model)
    assert not SliceLowering()(model)


def test_an_empty_result_and_an_open_shape_stay() -> None:
    empty = ir.from_proto(graph([4], [2], [2]))
    ShapeInference()(empty)
    assert not SliceLowering()(empty)
    assert not SliceLowering()(ir.from_proto(graph([-4], [2], [2], shape="1,4,n,8")))


@settings(max_examples=80, deadline=None)
@given(
    starts=st.lists(st.integers(-9, 9), min_size=2, max_size=2),
    ends=st.lists(st.integers(-9, 9), min_size=2, max_size=2),
    steps=st.lists(st.sampled_from([-3, -2, -1, 1, 2, 3]), min_size=2, max_size=2),
    single=st.booleans(),
    strided=st.sampled_from(["keep", "gather"]),
)
def test_any_numbers_keep_the_function(
    starts: list[int], ends: list[int], steps: list[int], single: bool, strided: Literal["keep", "gather"]
) -> None:
    proto = graph(starts, ends, [1, -1], steps, shape="2,5,7")
    model = ir.from_proto(proto)
    ShapeInference()(model)
    if SliceLowering(single, strided)(model):
        onnx.checker.check_model(as_proto(model), full_check=True)
        assert_same_function(proto, model)


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_keep_their_function(name: str) -> None:
    model = ir.from_proto(all_graphs()[name])
    ShapeInference()(model)
    SliceLowering(single_axis=True)(model)
    assert_same_function(all_graphs()[name], model)
