"""Vision transformer blocks in the forms in which they are exported, for the tests of preparations."""

from __future__ import annotations

import numpy as np
import onnx

from depthdeploy.testing.graph_text import build

QKV = {
    "apart": """
        {1}_q_product = MatMul ({0}, w_q)\n{1}_k_product = MatMul ({0}, w_k)\n{1}_v_product = MatMul ({0}, w_v)
        {1}_q_all = Add ({1}_q_product, b_q)\n{1}_k_all = Add (b_k, {1}_k_product)\n{1}_v_all = Add ({1}_v_product, b_v)
        {1}_q_heads = Reshape ({1}_q_all, heads)\n{1}_k_heads = Reshape ({1}_k_all, heads)
        {1}_v_heads = Reshape ({1}_v_all, heads)
        q = Transpose <perm=[0,2,1,3]> ({1}_q_heads)\nk = Transpose <perm=[0,2,3,1]> ({1}_k_heads)
        v = Transpose <perm=[0,2,1,3]> ({1}_v_heads)""",
    "gathered": """
        {1}_product = MatMul ({0}, w_qkv)\n{1}_all = Add ({1}_product, b_qkv)\n{1}_parts = Reshape ({1}_all, parts)
        {1}_turned = Transpose <perm=[2,0,3,1,4]> ({1}_parts)
        q = Gather <axis=0> ({1}_turned, zero)\nk_rows = Gather <axis=0> ({1}_turned, one)
        v = Gather <axis=0> ({1}_turned, two)\nk = Transpose <perm=[0,1,3,2]> (k_rows)""",
    "split": """
        {1}_product = MatMul ({0}, w_qkv)\n{1}_all = Add ({1}_product, b_qkv)
        {1}_q, {1}_k, {1}_v = Split <axis=-1, num_outputs=3> ({1}_all)
        {1}_q_heads = Reshape ({1}_q, heads)\n{1}_k_heads = Reshape ({1}_k, heads)\n{1}_v_heads = Reshape ({1}_v, heads)
        q = Transpose <perm=[0,2,1,3]> ({1}_q_heads)\nk = Transpose <perm=[0,2,3,1]> ({1}_k_heads)
        v = Transpose <perm=[0,2,1,3]> ({1}_v_heads)""",
    "gemm": """
        {1}_rows = Reshape ({0}, rows)
        {1}_q_all = Gemm ({1}_rows, w_q, b_q)\n{1}_k_all = Gemm <transB=1> ({1}_rows, w_k, b_k)
        {1}_v_all = Gemm ({1}_rows, w_v)
        {1}_q_heads = Reshape ({1}_q_all, heads)\n{1}_k_heads = Reshape ({1}_k_all, heads)
        {1}_v_heads = Reshape ({1}_v_all, heads)
        q = Transpose <perm=[0,2,1,3]> ({1}_q_heads)\nk = Transpose <perm=[0,2,3,1]> ({1}_k_heads)
        v = Transpose <perm=[0,2,1,3]> ({1}_v_heads)""",
}

MLP = {
    "gelu": """
        wide_part = Div (wide, root)\nwide_erf = Erf (wide_part)\nwide_sum = Add (wide_erf, unit)
        wide_half = Mul (wide_sum, half)\nactive = Mul (wide, wide_half)""",
    "relu": "active = Relu (wide)",
}


def block(
    *, qkv: str = "apart", mlp: str = "gelu", heads: int = 2, width: int = 4, norm_bias: bool = True, seed: int = 0
) -> onnx.ModelProto:
    """One block on 16 tokens between a patch embedding and a head: ``image [1,3,16,16]`` to ``depth [1,1,4,4]``."""
    c = heads * width
    beta = [", beta1", ", beta2"] if norm_bias else ["", ""]
    declared = f", float[{c}] beta1, float[{c}] beta2" if norm_bias else ""
    fused = qkv in ("gathered", "split")
    weights = (
        f"float[{c},{3 * c}] w_qkv, float[{3 * c}] b_qkv" if fused else
        f"float[{c},{c}] w_q, float[{c},{c}] w_k, float[{c},{c}] w_v, float[{c}] b_q, float[{c}] b_k, float[{c}] b_v"
    )  # fmt: skip
    proto = build(
        f"""block (float[1,3,16,16] image) => (float[1,1,4,4] depth)
        <float[{c},3,4,4] w_patch, float[{c}] b_patch, float[{c}] one_gain, float[{c}] two_gain{declared}, {weights},
         float[{c},{c}] w_out, float[{c},{2 * c}] w_1, float[{2 * c}] b_1, float[{2 * c},{c}] w_2, float[{c}] b_2,
         float[1,{c},1,1] w_head, float scale = {{{width**-0.5}}},
         float root = {{1.41421356}}, float unit = {{1}}, float half = {{0.5}}, int64 zero = {{0}}, int64 one = {{1}},
         int64 two = {{2}}, int64[3] flat = {{1, {c}, 16}}, int64[4] heads = {{1, 16, {heads}, {width}}},
         int64[5] parts = {{1, 16, 3, {heads}, {width}}}, int64[2] rows = {{16, {c}}},
         int64[3] merged = {{1, 16, {c}}}, int64[4] map_shape = {{1, {c}, 4, 4}}>
        {{
            patch = Conv <kernel_shape=[4,4], strides=[4,4]> (image, w_patch, b_patch)
            patch_rows = Reshape (patch, flat)
            tokens = Transpose <perm=[0,2,1]> (patch_rows)
            norm1 = LayerNormalization (tokens, one_gain{beta[0]})
            {QKV[qkv].format("norm1", "p")}
            product = MatMul (q, k)
            scaled = Mul (product, scale)
            weights = Softmax (scaled)
            mixed = MatMul (weights, v)
            mixed_rows = Transpose <perm=[0,2,1,3]> (mixed)
            joined = Reshape (mixed_rows, merged)
            attended = MatMul (joined, w_out)
            sum1 = Add (attended, tokens)
            norm2 = LayerNormalization (sum1, two_gain{beta[1]})
            wide_product = MatMul (norm2, w_1)
            wide = Add (wide_product, b_1)
            {MLP[mlp]}
            narrow_product = MatMul (active, w_2)
            narrow = Add (narrow_product, b_2)
            sum2 = Add (narrow, sum1)
            columns = Transpose <perm=[0,2,1]> (sum2)
            map = Reshape (columns, map_shape)
            depth = Conv <kernel_shape=[1,1]> (map, w_head)
        }}""",
        seed=seed,
    )
    used = {name for node in proto.graph.node for name in node.input}
    kept = [one for one in proto.graph.initializer if one.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    return proto


def scaled(proto: onnx.ModelProto, name: str, factor: float, index: tuple[slice | int, ...]) -> onnx.ModelProto:
    """The graph with a part of one weight multiplied."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for weight in copy.graph.initializer:
        if weight.name == name:
            array = np.array(onnx.numpy_helper.to_array(weight))
            array[index] *= np.float32(factor)
            weight.CopyFrom(onnx.numpy_helper.from_array(array, name))
            return copy
    raise KeyError(name)
