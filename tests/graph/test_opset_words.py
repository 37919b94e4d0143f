"""How single operators are said in older operator sets, and what has no words there."""

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.opset_lowering import lower_opset
from depthdeploy.graph.passes.common import DeadCodeElimination
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, assert_same_function


def lowered(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
    model = ir.from_proto(proto)
    assert lower_opset(model, version) == ()
    result = as_proto(model)
    onnx.checker.check_model(result, full_check=True)
    return result


_ATTENTION = """rows = Reshape (x, as_rows)
mixed = Attention <q_num_heads=6, kv_num_heads=6> (rows, rows, rows)
depth = Reshape (mixed, as_map)"""

#: Operators of one line -> opset of the graph, opset asked for, what they become.
_LINES = [
    ("depth = Gelu (x)", 20, 19, ["Mul", "Div", "Erf", "Add", "Mul"]),
    ('depth = Gelu <approximate="tanh"> (x)', 20, 13, ["Mul", "Mul", "Mul", "Mul", "Add", "Mul", "Tanh", "Add", "Mul"]),
    ("depth = HardSwish (x)", 18, 13, ["HardSigmoid", "Mul"]),
    ("depth = Mish (x)", 18, 11, ["Softplus", "Tanh", "Mul"]),
    ("depth = Swish <alpha=1.0> (x)", 24, 18, ["Sigmoid", "Mul"]),
    ("depth = Swish <alpha=1.5> (x)", 24, 18, ["Mul", "Sigmoid", "Mul"]),
    ("depth = Celu <alpha=2.0> (x)", 18, 11, ["Div", "Elu", "Mul"]),
    ("depth = Softmax <axis=1> (x)", 18, 11, ["Transpose", "Softmax", "Transpose"]),
    ("depth = Softmax <axis=-1> (x)", 18, 11, ["Softmax"]),
    ("depth = LogSoftmax <axis=2> (x)", 18, 11, ["Transpose", "LogSoftmax", "Transpose"]),
    ("depth = Clip (x, zero, one)", 18, 10, ["Clip"]),
    ("depth = Clip (x, , one)", 18, 10, ["Clip"]),
    ("depth = Pad <mode=\"reflect\"> (x, pads)", 18, 10, ["Pad"]),
    ("depth = Pad (x, two_pads, one, last_axis)", 18, 13, ["Pad"]),
    ("depth = Pad <mode=\"wrap\"> (x, two_pads, , last_axis)", 19, 18, ["Gather"]),
    ("depth = ReduceMean <keepdims=1> (x, last_axis)", 18, 17, ["ReduceMean"]),
    ("depth = ReduceMean <keepdims=1> (x, last_axis)", 18, 10, ["ReduceMean"]),
    ("depth = ReduceSum <keepdims=1> (x, last_axis)", 18, 11, ["ReduceSum"]),
    ("depth = ReduceMax <noop_with_empty_axes=1> (x)", 18, 11, ["Identity"]),
    ("narrow = Unsqueeze (x, last_axis)\ndepth = Squeeze (narrow, last_axis)", 18, 10, ["Unsqueeze", "Squeeze"]),
    ("a, b = Split <axis=1, num_outputs=2> (x)\ndepth = Concat <axis=-3> (b, a)", 18, 10, ["Split", "Concat"]),
    ("a, b = Split <axis=1> (x, sizes)\ndepth = Concat <axis=1> (b, a)", 18, 11, ["Split", "Concat"]),
    ("depth = Gather <axis=-1> (x, backward)", 18, 10, ["Gather"]),
    ("depth = Slice (x, zero_at, two_at, last_axis)", 18, 10, ["Slice"]),
    ("depth = LayerNormalization (x, gain_gain, shift)", 18, 16,
     ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]),
    ("depth = RMSNormalization (x, gain_gain)", 23, 11, ["Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]),
    ("depth = GroupNormalization <num_groups=2> (x, channel_gain, channel_shift)", 21, 11,
     ["Reshape", "InstanceNormalization", "Reshape", "Reshape", "Reshape", "Mul", "Add"]),
    ("depth = InstanceNormalization (x, channel_gain, channel_shift)", 22, 10, ["InstanceNormalization"]),
    ("depth = Dropout (x)", 18, 10, ["Identity"]),
    ("depth = DepthToSpace <blocksize=2, mode=\"CRD\"> (x)", 18, 10, ["Reshape", "Transpose", "Reshape"]),
    ("depth = DepthToSpace <blocksize=2, mode=\"DCR\"> (x)", 18, 10, ["DepthToSpace"]),
    ("depth = AveragePool <kernel_shape=[2,2], dilations=[2,2]> (x)", 19, 18, ["Conv"]),
    ("depth = MaxPool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1> (x)", 22, 13, ["MaxPool"]),
    ("depth = Trilu <upper=0> (x)", 18, 13, ["Where"]),
    ("depth = CumSum (x, three)", 18, 10, ["Transpose", "MatMul", "Transpose"]),
    ('depth = Einsum <equation="bchw,bcgw->bhgw"> (x, x)', 18, 11,
     ["Transpose", "Transpose", "Reshape", "Reshape", "MatMul", "Reshape", "Transpose"]),
    ("depth = Pow (x, power)", 18, 11, ["Pow"]),
    ("above = GreaterOrEqual (x, one)\ndepth = Where (above, x, one)", 18, 11, ["Greater", "Equal", "Or", "Where"]),
    ("like = CastLike (x, one)\ndepth = Neg (like)", 18, 13, ["Cast", "Neg"]),
    ("depth = Reshape <allowzero=1> (x, as_map)", 18, 13, ["Reshape"]),
    ("depth = ConvTranspose <auto_pad=\"SAME_UPPER\", strides=[2,2]> (x, w_up)", 18, 10, ["ConvTranspose"]),
    ('depth = Resize <mode="nearest", coordinate_transformation_mode="half_pixel"> (x, , twice)', 18, 10, ["Resize"]),
    ('depth = Resize <mode="linear", coordinate_transformation_mode="asymmetric"> (x, , twice)', 18, 10, ["Resize"]),
    ('depth = Resize <mode="linear", axes=[2,3]> (x, , , odd)', 18, 11, ["Resize"]),
    ('depth = Resize <mode="cubic", keep_aspect_ratio_policy="not_larger", axes=[2,3]> (x, , , odd)', 18, 13,
     ["Resize"]),
    ('depth = Resize <mode="linear", antialias=1> (x, , twice)', 18, 17, ["Resize"]),
    ('depth = Resize <mode="linear", coordinate_transformation_mode="half_pixel_symmetric"> (x, , twice)', 19, 13,
     ["Resize"]),
    (_ATTENTION, 23, 11, None),
]  # fmt: skip


def line(text: str, opset: int) -> onnx.ModelProto:
    """A graph of one line, without the constants that it does not read."""
    proto = build(
        f"""g (float[1,8,6,6] image) => (float[n,c,h,w] depth)
        <float zero = {{-0.5}}, float one = {{0.5}}, int64[8] pads = {{0, 0, 1, 2, 0, 0, 3, 0}}, int64[1] power = {{2}},
         int64[2] two_pads = {{1, 2}}, int64[1] last_axis = {{-1}}, int64[2] sizes = {{3, 5}}, int64 three = {{3}},
         int64[3] backward = {{-1, 0, -6}}, int64[1] zero_at = {{-5}}, int64[1] two_at = {{2000}},
         int64[2] odd = {{9, 11}}, float[6] gain_gain, float[6] shift, float[8] channel_gain, float[8] channel_shift,
         float[8,4,3,3] w_up, float[4] twice = {{1, 1, 2, 2}}, int64[3] as_rows = {{1, 8, 36}},
         int64[4] as_map = {{1, 4, 6, 12}}>
        {{ x = Neg (image)\n{text} }}""",
        opset=opset,
    )
    model = ir.from_proto(proto)
    DeadCodeElimination()(model)
    return as_proto(model)


@pytest.mark.parametrize(("text", "opset", "version", "found"), _LINES, ids=[f"{one[0]}-{one[2]}" for one in _LINES])
def test_an_operator_in_older_words(text: str, opset: int, version: int, found: list[str] | None) -> None:
    proto = line(text, opset)
    result = lowered(proto, version)
    assert found is None or [node.op_type for node in result.graph.node][1:] == found
    assert_same_function(proto, result)


_REFUSED = [
    ("depth = Round (x)", 18, 10, "Round"),
    ('depth = Resize <mode="linear", coordinate_transformation_mode="half_pixel"> (x, , twice)', 18, 10, "asymmetric"),
    ('depth = Resize <mode="cubic"> (x, , twice)', 18, 10, "cubic"),
    ('depth = Resize <mode="linear", antialias=1, axes=[2,3]> (x, , , small)', 18, 17, "antialias"),
    ("low = ReduceL2 <noop_with_empty_axes=1> (x)\ndepth = Neg (low)", 18, 17, "all axes"),
    ("bits = Cast <to=6> (x)\nsame = BitwiseNot (bits)\ndepth = Cast <to=1> (same)", 18, 17, "BitwiseNot"),
    ("wide = Cast <to=16> (x)\nhalf = Cos (wide)\ndepth = Cast <to=1> (half)", 22, 21, "other types"),
    ("axes = Cast <to=7> (three_axes)\nlow = ReduceMean (x, axes)\ndepth = Neg (low)", 18, 17, "as numbers"),
    ("many = Cast <to=5> (x)\nless = Clip (many)\ndepth = Cast <to=1> (less)", 18, 11, "other types"),
    ("a, b = TopK <largest=0, axis=1> (x, k)\ndepth = Neg (a)", 18, 10, "largest"),
]


@pytest.mark.parametrize(("text", "opset", "version", "rule"), _REFUSED, ids=[f"{one[0]}-{one[2]}" for one in _REFUSED])
def test_what_an_older_set_has_no_words_for(text: str, opset: int, version: int, rule: str) -> None:
    proto = build(
        f"""g (float[1,8,6,6] image, float[1] three_axes) => (float[n,c,h,w] depth)
        <float[4] twice = {{1, 1, 2, 2}}, int64[2] small = {{3, 3}}, int64[1] k = {{2}}>
        {{ x = Neg (image)\n{text} }}""",
        opset=opset,
    )
    facts = lower_opset(ir.from_proto(proto), version)
    assert len(facts) == 1
    assert rule in f"{facts[0].rule}, found {facts[0].found}"
