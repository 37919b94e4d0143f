"""Tiny depth graphs, each named for what it contains: input ``image [1,3,H,W]``, output ``depth [1,1,H,W]``, float32.

They are written in ONNX's textual syntax. A tensor that stands in the declarations and that no node produces is a
weight: it is drawn from a generator with the seed, at a scale that keeps activations near one (He et al. 2015). The
suffix of a weight's name says more: ``_var`` and ``_gain`` are positive, ``_uneven`` has output channels whose
magnitudes span two decades, as depthwise convolutions of trained mobile networks do. Every node bears the name of its
first output.
"""

from __future__ import annotations

import math

import onnx

from depthdeploy.testing.graph_text import build

__all__ = [
    "all_graphs",
    "attention_with_masked_row",
    "attention_with_nan_guard",
    "build",
    "concat_decoder",
    "conv_batch_norm_relu6",
    "dead_branch",
    "depthwise_block",
    "opset9_upsample",
    "opset10_resize",
    "residual_block",
    "shape_arithmetic",
    "transposed_decoder",
]


def conv_batch_norm_relu6(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """Two convolutions with batch normalisation and ReLU6, stride 2, brought back by a bilinear resize."""
    return build(
        f"""
        conv_batch_norm_relu6 (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[8,3,3,3] w1, float[8] b1, float[8] gain1_gain, float[8] shift1, float[8] mean1, float[8] var1_var,
         float[8,8,3,3] w2, float[8] gain2_gain, float[8] shift2, float[8] mean2, float[8] var2_var,
         float[1,8,1,1] w3, float[1] b3,
         float zero = {{0}}, float six = {{6}}, float[4] twice = {{1, 1, 2, 2}}>
        {{
            conv1 = Conv <kernel_shape=[3,3], strides=[2,2], pads=[0,0,1,1]> (image, w1, b1)
            norm1 = BatchNormalization <epsilon=0.001> (conv1, gain1_gain, shift1, mean1, var1_var)
            act1 = Clip (norm1, zero, six)
            conv2 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (act1, w2)
            norm2 = BatchNormalization <epsilon=0.001> (conv2, gain2_gain, shift2, mean2, var2_var)
            act2 = Clip (norm2, zero, six)
            head = Conv <kernel_shape=[1,1]> (act2, w3, b3)
            depth = Resize <mode="linear", coordinate_transformation_mode="half_pixel"> (head, , twice)
        }}""",
        seed=seed,
    )


def depthwise_block(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """An inverted residual with a depthwise convolution of uneven channels: the hard case of 8-bit weights."""
    return build(
        f"""
        depthwise_block (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[8,3,1,1] w_stem, float[8] b_stem, float[16,8,1,1] w_expand, float[16] b_expand,
         float[16,1,3,3] w_depthwise_uneven, float[16] b_depthwise, float[8,16,1,1] w_project, float[8] b_project,
         float[1,8,1,1] w_head, float[1] b_head, float zero = {{0}}, float six = {{6}}>
        {{
            stem = Conv <kernel_shape=[1,1]> (image, w_stem, b_stem)
            expand = Conv <kernel_shape=[1,1]> (stem, w_expand, b_expand)
            expand_act = Clip (expand, zero, six)
            depthwise =
                Conv <kernel_shape=[3,3], pads=[1,1,1,1], group=16> (expand_act, w_depthwise_uneven, b_depthwise)
            depthwise_act = Clip (depthwise, zero, six)
            project = Conv <kernel_shape=[1,1]> (depthwise_act, w_project, b_project)
            sum = Add (project, stem)
            depth = Conv <kernel_shape=[1,1]> (sum, w_head, b_head)
        }}""",
        seed=seed,
    )


def residual_block(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """The residual unit of a refinement decoder: ReLU before each convolution, an addition, an inverse-depth head."""
    return build(
        f"""
        residual_block (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[8,3,3,3] w_stem, float[8] b_stem, float[8,8,3,3] w1, float[8] b1, float[8,8,3,3] w2, float[8] b2,
         float[1,8,1,1] w_head, float[1] b_head>
        {{
            stem = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w_stem, b_stem)
            act1 = Relu (stem)
            conv1 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (act1, w1, b1)
            act2 = Relu (conv1)
            conv2 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (act2, w2, b2)
            sum = Add (conv2, stem)
            head = Conv <kernel_shape=[1,1]> (sum, w_head, b_head)
            depth = Relu (head)
        }}""",
        seed=seed,
    )


def concat_decoder(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """An encoder of two scales whose skip connection is concatenated with a bilinearly enlarged map."""
    return build(
        f"""
        concat_decoder (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[4,3,3,3] w1, float[4] b1, float[8,4,3,3] w2, float[8] b2, float[4,12,3,3] w3, float[4] b3,
         float[1,4,1,1] w_head, float[1] b_head, float[4] twice = {{1, 1, 2, 2}}>
        {{
            conv1 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1, b1)
            skip = Relu (conv1)
            conv2 = Conv <kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]> (skip, w2, b2)
            deep = Relu (conv2)
            large = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (deep, , twice)
            joined = Concat <axis=1> (large, skip)
            conv3 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (joined, w3, b3)
            act3 = Relu (conv3)
            depth = Conv <kernel_shape=[1,1]> (act3, w_head, b_head)
        }}""",
        seed=seed,
    )


def transposed_decoder(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """A transposed convolution followed by batch normalisation, and a depthwise convolution after it."""
    return build(
        f"""
        transposed_decoder (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[8,3,3,3] w1, float[8] b1, float[8,6,2,2] w2, float[6] gain_gain, float[6] shift, float[6] mean,
         float[6] var_var, float[6,1,3,3] w3, float[1,6,1,1] w_head, float[1] b_head>
        {{
            conv1 = Conv <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (image, w1, b1)
            act1 = Relu (conv1)
            large = ConvTranspose <kernel_shape=[2,2], strides=[2,2]> (act1, w2)
            norm = BatchNormalization (large, gain_gain, shift, mean, var_var)
            act2 = Relu (norm)
            depthwise = Conv <kernel_shape=[3,3], pads=[1,1,1,1], group=6> (act2, w3)
            depth = Conv <kernel_shape=[1,1]> (depthwise, w_head, b_head)
        }}""",
        seed=seed,
    )


def attention_with_nan_guard(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """One block of a vision transformer (patch 8, 16 channels, 2 heads) with PyTorch's guard against masked rows."""
    return _attention("attention_with_nan_guard", "scaled", "", height=height, width=width, seed=seed)


def attention_with_masked_row(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """The same block with a mask of minus infinity over whole rows: here the guard is needed."""
    mask = "low = Constant <value_float=-inf> ()\n            masked = Where (row_mask, low, scaled)"
    return _attention("attention_with_masked_row", "masked", mask, height=height, width=width, seed=seed)


def _attention(name: str, scores: str, mask: str, *, height: int, width: int, seed: int) -> onnx.ModelProto:
    rows, columns = height // 8, width // 8
    tokens = rows * columns
    mask = mask.replace("-inf", "-3.4e38")
    blocked = ", ".join(["1"] + ["0"] * (tokens - 1))
    declared = f", bool[1,1,{tokens},1] row_mask = {{{blocked}}}" if mask else ""
    model = build(
        f"""
        {name} (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[16,3,8,8] w_patch, float[16] b_patch, float[16] gain_gain, float[16] shift,
         float[16,16] w_q, float[16,16] w_k, float[16,16] w_v, float[16] b_v, float[16,16] w_out, float[16] b_out,
         float[1,16,1,1] w_head, float[1] b_head, float scale = {{0.35355338}}, float zero = {{0}},
         int64[3] flat = {{1, 16, {tokens}}}, int64[4] heads = {{1, {tokens}, 2, 8}},
         int64[3] merged = {{1, {tokens}, 16}},
         int64[4] map_shape = {{1, 16, {rows}, {columns}}}, int64[4] full = {{1, 1, {height}, {width}}}{declared}>
        {{
            patch = Conv <kernel_shape=[8,8], strides=[8,8]> (image, w_patch, b_patch)
            columns_first = Reshape (patch, flat)
            tokens = Transpose <perm=[0,2,1]> (columns_first)
            normed = LayerNormalization <axis=-1, epsilon=0.000001> (tokens, gain_gain, shift)
            q_all = MatMul (normed, w_q)
            k_all = MatMul (normed, w_k)
            v_product = MatMul (normed, w_v)
            v_all = Add (v_product, b_v)
            q_heads = Reshape (q_all, heads)
            k_heads = Reshape (k_all, heads)
            v_heads = Reshape (v_all, heads)
            q = Transpose <perm=[0,2,1,3]> (q_heads)
            k = Transpose <perm=[0,2,3,1]> (k_heads)
            v = Transpose <perm=[0,2,1,3]> (v_heads)
            product = MatMul (q, k)
            scaled = Mul (product, scale)
            {mask}
            weights = Softmax <axis=-1> ({scores})
            undefined = IsNaN (weights)
            guarded = Where (undefined, zero, weights)
            mixed = MatMul (guarded, v)
            mixed_rows = Transpose <perm=[0,2,1,3]> (mixed)
            joined = Reshape (mixed_rows, merged)
            projected_product = MatMul (joined, w_out)
            projected = Add (projected_product, b_out)
            residual = Add (projected, tokens)
            residual_columns = Transpose <perm=[0,2,1]> (residual)
            map = Reshape (residual_columns, map_shape)
            head = Conv <kernel_shape=[1,1]> (map, w_head, b_head)
            depth = Resize <mode="linear", coordinate_transformation_mode="half_pixel"> (head, , , full)
        }}""",
        seed=seed,
    )
    for node in model.graph.node:  # the text has no infinity
        if node.output[0] == "low":
            node.attribute[0].f = -math.inf
    return model


def opset10_resize(*, height: int = 32, width: int = 32, seed: int = 0, mode: str = "linear") -> onnx.ModelProto:
    """An opset 10 graph whose ``Resize`` says nothing of coordinates, which in opset 10 means *asymmetric*."""
    return build(
        f"""
        opset10_resize (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[8,3,3,3] w1, float[8] b1, float[1,8,1,1] w_head, float[1] b_head, float[4] twice = {{1, 1, 2, 2}}>
        {{
            conv1 = Conv <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (image, w1, b1)
            act1 = Clip <min=0.0, max=6.0> (conv1)
            large = Resize <mode="{mode}"> (act1, twice)
            depth = Conv <kernel_shape=[1,1]> (large, w_head, b_head)
        }}""",
        opset=10,
        seed=seed,
    )


def opset9_upsample(*, height: int = 32, width: int = 32, seed: int = 0, mode: str = "nearest") -> onnx.ModelProto:
    """An opset 9 graph with ``Upsample``, the ancestor of ``Resize``."""
    return build(
        f"""
        opset9_upsample (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[8,3,3,3] w1, float[8] b1, float[1,8,1,1] w_head, float[1] b_head, float[4] twice = {{1, 1, 2, 2}}>
        {{
            conv1 = Conv <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (image, w1, b1)
            act1 = Relu (conv1)
            large = Upsample <mode="{mode}"> (act1, twice)
            depth = Conv <kernel_shape=[1,1]> (large, w_head, b_head)
        }}""",
        opset=9,
        seed=seed,
    )


def dead_branch(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """What leaves no trace in the output: an unread branch, an unread weight, identities, dropout, no-op reshapes."""
    return build(
        f"""
        dead_branch (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[4,3,3,3] w1, float[4] b1, float[1,4,1,1] w_head, float[1] b_head, float[5] w_unread,
         float[2,4,1,1] w_dead, int64[4] same = {{1, 4, {height}, {width}}},
         int64[8] nothing = {{0, 0, 0, 0, 0, 0, 0, 0}},
         int64[1] first = {{0}}, int64[1] last = {{9223372036854775807}}, int64[1] axis = {{2}}>
        {{
            conv1 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1, b1)
            copied = Identity (conv1)
            dropped = Dropout (copied)
            reshaped = Reshape (dropped, same)
            turned = Transpose <perm=[0,1,2,3]> (reshaped)
            cast = Cast <to=1> (turned)
            padded = Pad (cast, nothing)
            whole = Slice (padded, first, last, axis)
            act1 = Relu (whole)
            dead = Conv <kernel_shape=[1,1]> (act1, w_dead)
            dead_act = Relu (dead)
            depth = Conv <kernel_shape=[1,1]> (act1, w_head, b_head)
        }}""",
        seed=seed,
    )


def shape_arithmetic(*, height: int = 32, width: int = 32, seed: int = 0) -> onnx.ModelProto:
    """A resize whose size is computed in the graph from the shape of the image."""
    return build(
        f"""
        shape_arithmetic (float[1,3,{height},{width}] image) => (float[1,1,{height},{width}] depth)
        <float[4,3,3,3] w1, float[4] b1, float[1,4,1,1] w_head, float[1] b_head,
         int64[1] two = {{2}}, int64[1] four = {{4}}, int64[2] channels = {{1, 4}}>
        {{
            conv1 = Conv <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]> (image, w1, b1)
            act1 = Relu (conv1)
            shape = Shape (image)
            sides = Slice (shape, two, four)
            sizes = Concat <axis=0> (channels, sides)
            large = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (act1, , , sizes)
            depth = Conv <kernel_shape=[1,1]> (large, w_head, b_head)
        }}""",
        seed=seed,
    )


def all_graphs() -> dict[str, onnx.ModelProto]:
    """Every graph of opset 18 in this file, by name."""
    makers = (
        conv_batch_norm_relu6, depthwise_block, residual_block, concat_decoder, transposed_decoder,
        attention_with_nan_guard, attention_with_masked_row, dead_branch, shape_arithmetic,
    )  # fmt: skip
    return {maker.__name__: maker() for maker in makers}
