"""What each pass does to the graph that it is for."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.target import GraphPass
from depthdeploy.errors import ModelError
from depthdeploy.graph.canonicalize import PASSES, canonicalize
from depthdeploy.graph.passes.affine_folding import AffineFolding
from depthdeploy.graph.passes.clip_unification import ClipUnification
from depthdeploy.graph.passes.constant_folding import ConstantFolding
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def canonical(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    canonicalize(model)
    return model


def test_every_pass_is_a_graph_pass_with_a_name_of_its_own() -> None:
    assert all(isinstance(one, GraphPass) for one in PASSES)
    assert len({one.name for one in PASSES}) == len(PASSES)


def test_batch_normalisation_is_folded() -> None:
    assert operators(canonical(graphs.conv_batch_norm_relu6())) == {"Conv": 3, "Clip": 2, "Resize": 1}
    assert "BatchNormalization" not in operators(canonical(graphs.transposed_decoder()))


def test_a_batch_normalisation_whose_convolution_is_read_elsewhere_stays() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <float[1,3,1,1] w, float[1] gain_gain, float[1] shift, float[1] mean, float[1] var_var>
        {
            conv = Conv (image, w)
            norm = BatchNormalization (conv, gain_gain, shift, mean, var_var)
            depth = Add (conv, norm)
        }"""
    )
    model = canonical(proto)
    assert operators(model)["BatchNormalization"] == 1
    assert_same_function(proto, model)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_a_grouped_transposed_convolution_takes_the_scale_of_its_own_channels(group: int) -> None:
    proto = build(
        f"""g (float[1,3,8,8] image) => (float[1,1,16,16] depth)
        <float[8,3,1,1] w, float[8,{12 // group},2,2] wt, float[12] gain_gain, float[12] shift, float[12] mean,
         float[12] var_var, float[1,12,1,1] w_head>
        {{
            conv = Conv (image, w)
            large = ConvTranspose <strides=[2,2], group={group}> (conv, wt)
            norm = BatchNormalization (large, gain_gain, shift, mean, var_var)
            depth = Conv (norm, w_head)
        }}"""
    )
    model = canonical(proto)
    assert operators(model) == {"Conv": 2, "ConvTranspose": 1}
    assert_same_function(proto, model)


def test_the_guard_of_attention_goes_where_nothing_is_masked() -> None:
    found = operators(canonical(graphs.attention_with_nan_guard()))
    assert "IsNaN" not in found
    assert "Where" not in found


def test_the_guard_of_attention_stays_where_rows_are_masked() -> None:
    found = operators(canonical(graphs.attention_with_masked_row()))
    assert found["IsNaN"] == 1
    assert found["Where"] == 2


@pytest.mark.parametrize(("mask", "stays"), [("-1000.0", False), ("-3.4e38", True)])
def test_a_mask_that_is_added_keeps_the_guard_when_it_may_overflow(mask: str, stays: bool) -> None:
    proto = build(
        f"""g (float[1,3,4,4] image) => (float[1,1,4,4] depth)
        <float[1,3,1,1] w, float mask = {{{mask}}}, float zero = {{0}}>
        {{
            conv = Conv (image, w)
            masked = Add (conv, mask)
            soft = Softmax (masked)
            bad = IsNaN (soft)
            depth = Where (bad, zero, soft)
        }}"""
    )
    assert ("IsNaN" in operators(canonical(proto))) is stays


def test_a_division_that_may_be_by_zero_keeps_the_guard() -> None:
    proto = build(
        """g (float[1,3,4,4] image) => (float[1,1,4,4] depth) <float[1,3,1,1] w, float zero = {0}>
        {
            conv = Conv (image, w)
            ratio = Div (conv, conv)
            soft = Softmax (ratio)
            bad = IsNaN (soft)
            depth = Where (bad, zero, soft)
        }"""
    )
    assert "IsNaN" in operators(canonical(proto))


def test_what_leaves_no_trace_is_removed() -> None:
    model = canonical(graphs.dead_branch())
    assert operators(model) == {"Conv": 2, "Relu": 1}
    assert set(model.graph.initializers) == {"w1", "b1", "w_head", "b_head"}


def test_shape_arithmetic_becomes_a_constant() -> None:
    assert operators(canonical(graphs.shape_arithmetic())) == {"Conv": 2, "Relu": 1, "Resize": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m = Max (conv, zero)\ndepth = Min (m, six)", {"Conv": 1, "Clip": 1}),
        ("m = Min (six, conv)\ndepth = Max (zero, m)", {"Conv": 1, "Clip": 1}),
        ("m = Relu (conv)\ndepth = Clip (m, , six)", {"Conv": 1, "Clip": 1}),
        ("m = Clip (conv, zero, six)\ndepth = Relu (m)", {"Conv": 1, "Clip": 1}),
        ("depth = Max (conv, zero)", {"Conv": 1, "Relu": 1}),
        ("depth = Clip (conv, zero)", {"Conv": 1, "Relu": 1}),
    ],
)
def test_clamps_have_one_form(text: str, expected: dict[str, int]) -> None:
    proto = build(
        f"""g (float[1,3,8,8] image) => (float[1,1,8,8] depth) <float[1,3,1,1] w, float zero = {{0}}, float six = {{6}}>
        {{ conv = Conv (image, w)\n{text} }}"""
    )
    model = canonical(proto)
    assert operators(model) == expected
    assert_same_function(proto, model)


def test_layer_scale_goes_into_the_projection() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <float[1,3,1,1] w, float[8,8] wm, float[8] b, float[8] gain_gain>
        {
            conv = Conv (image, w)
            product = MatMul (conv, wm)
            biased = Add (product, b)
            depth = Mul (biased, gain_gain)
        }"""
    )
    model = canonical(proto)
    assert operators(model) == {"Conv": 1, "MatMul": 1, "Add": 1}
    assert_same_function(proto, model)


def test_a_factor_per_column_is_not_a_factor_per_channel() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth) <float[1,3,1,1] w, float[8] column>
        { conv = Conv (image, w)\ndepth = Mul (conv, column) }"""
    )
    assert not AffineFolding()(ir.from_proto(proto))


def test_padding_by_name_is_padding_by_number() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,4,4] depth) <float[1,3,3,3] w>
        { depth = Conv <kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER"> (image, w) }"""
    )
    model = canonical(proto)
    assert list(model.graph[0].attributes["pads"].as_ints()) == [0, 0, 1, 1]
    assert "auto_pad" not in model.graph[0].attributes
    assert_same_function(proto, model)


def test_weights_that_are_stored_as_integers_stay_so() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <int8[1,3,1,1] w = {1, 2, 3}, float scale = {0.1}, int8 zero = {0}>
        { weight = DequantizeLinear (w, scale, zero)\ndepth = Conv (image, weight) }"""
    )
    assert operators(canonical(proto))["DequantizeLinear"] == 1


def test_a_constant_that_would_be_huge_is_not_written_out() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <float[1,3,1,1] w, float[1,1,1] b, int64[3] large = {64, 1024, 1024}>
        {
            full = Expand (b, large)
            mean = ReduceMean (full)
            conv = Conv (image, w)
            depth = Add (conv, mean)
        }"""
    )
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert not ConstantFolding()(model)


def test_an_unknown_operator_is_left_alone() -> None:
    proto = graphs.residual_block()
    proto.opset_import.append(onnx.helper.make_opsetid("own.domain", 1))
    proto.graph.node.append(onnx.helper.make_node("Strange", ["stem"], ["odd"], name="odd", domain="own.domain"))
    proto.graph.output.append(onnx.ValueInfoProto(name="odd"))
    model = ir.from_proto(proto)
    canonicalize(model)
    assert operators(model)["Strange"] == 1


def test_passes_that_undo_one_another_are_an_error() -> None:
    class Restless:
        name = "restless"

        def __call__(self, model: ir.Model) -> bool:
            return True

    with pytest.raises(ModelError, match="restless"):
        canonicalize(ir.from_proto(graphs.residual_block()), (Restless(),))


def test_the_bounds_of_a_clamp_are_exact() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth) <float[1,3,1,1] w, float low = {0.1}, float high = {0.7}>
        { conv = Conv (image, w)\nm = Max (conv, low)\ndepth = Min (m, high) }"""
    )
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert ClipUnification()(model)
    bounds = [value.const_value for value in model.graph[-1].inputs[1:] if value is not None]
    assert [bound.numpy().item() for bound in bounds if bound is not None] == [np.float32(0.1), np.float32(0.7)]
