"""Transposed convolutions by pads alone."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.conv_transpose_lowering import ConvTransposeLowering
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def graph(attributes: str, kernel: int = 3, bias: bool = True, group: int = 1) -> onnx.ModelProto:
    return build(
        f"""g (float[1,4,5,6] image) => (float[a,b,c,d] depth) <float[4,2,{kernel},{kernel}] w, float[{2 * group}] b>
        {{ x = Neg (image)\ny = ConvTranspose <group={group}, {attributes}> (x, w{", b" if bias else ""})
           depth = Neg (y) }}"""
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def lowered(proto: onnx.ModelProto, one: ConvTransposeLowering) -> ir.Model:
    model = inferred(proto)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    for node in model.graph:
        if node.op_type == "ConvTranspose":
            assert not {"auto_pad", "output_shape", "output_padding"} & set(node.attributes)
    return model


@pytest.mark.parametrize(
    ("attributes", "pads"),
    [
        ("strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]", (1, 1, 0, 0)),
        ('strides=[2,2], auto_pad="SAME_UPPER"', (0, 0, 1, 1)),
        ('strides=[2,2], auto_pad="SAME_LOWER"', (1, 1, 0, 0)),
        ('strides=[2,2], auto_pad="VALID"', (0, 0, 0, 0)),
        ("strides=[2,2], output_shape=[10,12]", (1, 1, 0, 0)),
        ("strides=[3,3], dilations=[2,2], pads=[0,1,2,2], output_padding=[2,1]", (0, 1, 0, 1)),
    ],
)
def test_everything_is_told_by_pads(attributes: str, pads: tuple[int, ...]) -> None:
    model = lowered(graph(attributes), ConvTransposeLowering())
    assert [node.op_type for node in model.graph] == ["Neg", "ConvTranspose", "Neg"]
    assert model.graph[1].attributes.get_ints("pads") == pads


@pytest.mark.parametrize(("bias", "more"), [(True, ["Pad", "Reshape", "Add"]), (False, ["Pad"])])
def test_rows_beyond_the_windows_are_padded_and_get_the_bias(bias: bool, more: list[str]) -> None:
    proto = graph("strides=[2,2], output_padding=[1,0]", bias=bias)
    found = [node.op_type for node in lowered(proto, ConvTransposeLowering()).graph]
    assert found == ["Neg", "ConvTranspose", *more, "Neg"]


def test_unequal_pads_become_a_slice_where_asked() -> None:
    proto = graph("strides=[2,2], pads=[0,1,1,0]")
    assert not ConvTransposeLowering()(inferred(proto))
    model = lowered(proto, ConvTransposeLowering(symmetric=True))
    assert [node.op_type for node in model.graph] == ["Neg", "ConvTranspose", "Slice", "Neg"]
    assert model.graph[1].attributes.get_ints("pads") == (0, 0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    extra=st.lists(st.integers(0, 2), min_size=2, max_size=2),
    symmetric=st.booleans(),
    group=st.sampled_from([1, 2]),
)
def test_any_geometry_keeps_the_function(
    *, kernel: int, stride: int, pads: list[int], extra: list[int], symmetric: bool, group: int
) -> None:
    extra = [min(one, stride - 1) for one in extra]
    proto = graph(f"strides=[{stride},{stride}], pads={pads}, output_padding={extra}", kernel=kernel, group=group)
    model = inferred(proto)
    if ConvTransposeLowering(symmetric)(model):
        onnx.checker.check_model(as_proto(model), full_check=True)
        assert_same_function(proto, model)


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_stay(name: str) -> None:
    assert not ConvTransposeLowering()(inferred(all_graphs()[name]))
