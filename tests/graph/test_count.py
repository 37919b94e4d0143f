"""Sizes against counts by hand."""

import os
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.errors import ModelError
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.count import count
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build

DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA", "")
FASTDEPTH = Path(DATA) / "weights" / "fastdepth" / "fast_depth_224.onnx"


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def sizes(proto: onnx.ModelProto) -> tuple[int, int]:
    model = ir.from_proto(proto)
    canonicalize(model)
    counted = count(model)
    return counted.parameters, counted.macs


def test_residual_block() -> None:
    parameters = (3 * 8 * 9 + 8) + 2 * (8 * 8 * 9 + 8) + (8 + 1)
    assert sizes(graphs.residual_block()) == (parameters, 32 * 32 * (3 * 8 * 9 + 2 * 8 * 8 * 9 + 8))


def test_depthwise_block() -> None:
    parameters = (3 * 8 + 8) + (8 * 16 + 16) + (16 * 9 + 16) + (16 * 8 + 8) + (8 + 1)
    assert sizes(graphs.depthwise_block()) == (parameters, 32 * 32 * (3 * 8 + 8 * 16 + 16 * 9 + 16 * 8 + 8))


def test_transposed_convolution_counts_by_its_input() -> None:
    per_pixel = 16 * 16 * (3 * 8 * 9 + 8 * 6 * 4) + 32 * 32 * (6 * 9 + 6)
    assert sizes(graphs.transposed_decoder())[1] == per_pixel


def test_attention() -> None:
    tokens = 16
    projections = 4 * tokens * 16 * 16
    attention = 2 * (2 * tokens * tokens * 8)
    assert sizes(graphs.attention_with_nan_guard())[1] == tokens * 3 * 64 * 16 + projections + attention + tokens * 16


@pytest.mark.parametrize("turned", [0, 1])
def test_gemm(turned: int) -> None:
    proto = build(
        f"""g (float[1,3,4,4] image) => (float[1,1,4,4] depth)
        <float[16,16] w, float[16] b, int64[2] row = {{3, 16}}, int64[4] back = {{1, 3, 4, 4}}, int64[1] axis = {{1}}>
        {{
            flat = Reshape (image, row)
            product = Gemm <transB={turned}> (flat, w, b)
            map = Reshape (product, back)
            depth = ReduceMean (map, axis)
        }}"""
    )
    assert sizes(proto) == (16 * 16 + 16, 3 * 16 * 16)


def test_clamp_bounds_and_resize_factors_are_no_parameters() -> None:
    counted = count(inferred(graphs.conv_batch_norm_relu6()))
    assert counted.parameters == (3 * 8 * 9 + 8) + 4 * 8 + 8 * 8 * 9 + 4 * 8 + 8 + 1
    assert counted.nodes == {"Conv": 3, "BatchNormalization": 2, "Clip": 2, "Resize": 1}


def test_integer_weights_are_parameters_and_their_scales_are_not() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <int8[1,3,1,1] w = {1, 2, 3}, float[1] scale = {0.1}, int8[1] zero = {0}>
        { weight = DequantizeLinear <axis=0> (w, scale, zero)\ndepth = Conv (image, weight) }"""
    )
    assert count(inferred(proto)).parameters == 3


def test_a_free_size_cannot_be_counted() -> None:
    proto = graphs.residual_block()
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    del proto.graph.value_info[:]
    with pytest.raises(ModelError, match="no static shape"):
        count(ir.from_proto(proto))


@pytest.mark.skipif(not FASTDEPTH.is_file(), reason="DEPTHDEPLOY_TEST_DATA names no folder with FastDepth")
def test_fastdepth_has_its_published_size() -> None:
    model = ir.load(FASTDEPTH)
    canonicalize(model)
    assert count(model).parameters == 1_352_225
