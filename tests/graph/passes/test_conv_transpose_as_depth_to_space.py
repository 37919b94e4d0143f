"""Windows that do not overlap: a pointwise convolution and a move."""

from typing import Literal

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.conv_transpose_as_depth_to_space import ConvTransposeAsDepthToSpace
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import transposed_decoder
from depthdeploy.testing.laws import as_proto, assert_same_function

Mode = Literal["DCR", "CRD"]


def graph(attributes: str, kernel: int = 2, group: int = 1, bias: bool = True) -> onnx.ModelProto:
    return build(
        f"""g (float[1,4,5,6] image) => (float[a,b,c,d] depth) <float[4,3,{kernel},{kernel}] w, float[{3 * group}] b>
        {{ x = Neg (image)\ny = ConvTranspose <group={group}, {attributes}> (x, w{", b" if bias else ""})
           depth = Neg (y) }}"""
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def lowered(proto: onnx.ModelProto, mode: Mode) -> list[str]:
    model, one = inferred(proto), ConvTransposeAsDepthToSpace(mode)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("block", [2, 3, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_kernel_and_stride_alike(mode: Mode, block: int, bias: bool) -> None:
    proto = graph(f"strides=[{block},{block}]", kernel=block, bias=bias)
    assert lowered(proto, mode) == ["Neg", "Conv", "DepthToSpace", "Neg"]


def test_groups_keep_their_channels_together_in_one_order_alone() -> None:
    proto = graph("strides=[2,2]", group=2)
    assert lowered(proto, "CRD") == ["Neg", "Conv", "DepthToSpace", "Neg"]
    assert not ConvTransposeAsDepthToSpace("DCR")(inferred(proto))


@pytest.mark.parametrize(
    "attributes",
    ["strides=[1,1]", "strides=[2,1]", "strides=[2,2], pads=[0,0,1,1]", "strides=[2,2], output_padding=[1,1]"],
)
def test_other_geometries_stay(attributes: str) -> None:
    assert not ConvTransposeAsDepthToSpace()(inferred(graph(attributes)))


def test_a_decoder_keeps_its_function() -> None:
    assert "ConvTranspose" not in lowered(transposed_decoder(), "DCR")
