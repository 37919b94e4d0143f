"""Pads by copies become concatenations."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.pad_lowering import PadLowering
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function

EVERYTHING = PadLowering(("reflect", "edge", "wrap", "constant"))


def graph(mode: str, pads: list[int], fill: str = "half") -> onnx.ModelProto:
    said = ", ".join(map(str, pads))
    return build(
        f"""g (float[1,2,5,6] image) => (float[a,b,c,d] depth)
        <int64[{len(pads)}] pads = {{{said}}}, int64[2] sides = {{2, -1}}, float half = {{0.5}}>
        {{ x = Neg (image)\ny = Pad <mode="{mode}"> (x, pads, {fill}{", sides" if len(pads) == 4 else ""})
           depth = Neg (y) }}""",
        opset=19,
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def lowered(proto: onnx.ModelProto, one: PadLowering) -> list[str]:
    model = inferred(proto)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph][1:-1]


def test_mirrored_rows_are_slices_of_one_row() -> None:
    assert lowered(graph("reflect", [2, 0, 1, 0]), PadLowering()) == ["Slice"] * 3 + ["Concat"]


def test_repeated_rows_are_one_slice() -> None:
    assert lowered(graph("edge", [3, 0, 0, 2]), PadLowering()) == ["Slice", "Concat", "Slice", "Concat"]


def test_wrapped_rows_are_one_slice_a_side() -> None:
    assert lowered(graph("wrap", [3, 1, 2, 0]), PadLowering()) == ["Slice", "Slice", "Concat", "Slice", "Concat"]


def test_a_constant_stays_unless_asked() -> None:
    proto = graph("constant", [1, 2, 0, 1])
    assert not PadLowering()(inferred(proto))
    assert lowered(proto, EVERYTHING) == ["Concat", "Concat"]
    assert lowered(graph("constant", [1, 2, 0, 1], fill=""), EVERYTHING) == ["Concat", "Concat"]


def test_negative_amounts_are_slices() -> None:
    assert lowered(graph("constant", [-1, 0, 0, -2]), PadLowering()) == ["Slice", "Slice"]
    assert lowered(graph("constant", [-1, 2, 3, -2]), PadLowering()) == ["Slice", "Slice", "Pad"]
    assert not PadLowering(negative=False)(inferred(graph("constant", [-1, 0, 0, -2])))


def test_what_reaches_beyond_one_copy_or_has_too_many_rows_stays() -> None:
    assert not PadLowering(largest=1)(inferred(graph("reflect", [2, 0, 1, 0])))
    assert not PadLowering()(inferred(graph("edge", [-1, 0, 2, 0])))


def test_nothing_to_pad_stays() -> None:
    assert not EVERYTHING(inferred(graph("constant", [0] * 8)))


@settings(max_examples=80, deadline=None)
@given(
    mode=st.sampled_from(["reflect", "edge", "wrap", "constant"]),
    pads=st.lists(st.integers(-2, 4), min_size=4, max_size=4),
)
def test_any_amounts_keep_the_function(mode: str, pads: list[int]) -> None:
    if mode == "wrap" and min(pads) < 0:
        return  # ONNX Runtime and the specification disagree on wrapping what was cut
    proto = graph(mode, pads)
    model = inferred(proto)
    if EVERYTHING(model):
        onnx.checker.check_model(as_proto(model), full_check=True)
        assert_same_function(proto, model)


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_stay(name: str) -> None:
    assert not PadLowering()(inferred(all_graphs()[name]))
