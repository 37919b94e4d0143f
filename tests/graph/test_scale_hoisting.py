"""The factor of attention goes into the projections, and nothing else does."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.scale_hoisting import ScaleHoisting
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def attention(scores: str, *, keys: str = "k = Transpose <perm=[0,2,3,1]> (k_heads)") -> onnx.ModelProto:
    return build(
        f"""g (float[1,3,4,4] image) => (float[1,2,16,16] depth)
        <float[3,8] w_q, float[8] b_q, float[3,8] w_k, float scale = {{0.3}}, float two = {{2}}, float zero = {{0}},
         float[16] row, int64[3] flat = {{1, 3, 16}}, int64[4] heads = {{1, 16, 2, 4}}>
        {{
            columns = Reshape (image, flat)
            tokens = Transpose <perm=[0,2,1]> (columns)
            q_product = MatMul (tokens, w_q)
            q_all = Add (b_q, q_product)
            k_all = MatMul (tokens, w_k)
            q_heads = Reshape (q_all, heads)
            k_heads = Reshape (k_all, heads)
            q = Transpose <perm=[0,2,1,3]> (q_heads)
            {keys}
            {scores}
            depth = Softmax (scores)
        }}"""
    )


def rewritten(proto: onnx.ModelProto) -> list[str]:
    model = ir.from_proto(proto)
    canonicalize(model)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize(
    ("scores", "keys"),
    [
        ("product = MatMul (q, k)\nscores = Mul (product, scale)", None),
        ("product = MatMul (q, k)\nscores = Div (product, scale)", None),
        ("product = MatMul (q, k)\nhalf = Mul (scale, product)\nscores = Div (half, two)", None),
        ("small = Mul (q, scale)\nscores = MatMul (small, k)", None),
        ("scores = MatMul (q, k)", "k_turned = Transpose <perm=[0,2,3,1]> (k_heads)\nk = Mul (k_turned, scale)"),
    ],
)
def test_a_factor_goes_into_a_projection(scores: str, keys: str | None) -> None:
    found = rewritten(attention(scores) if keys is None else attention(scores, keys=keys))
    assert "Mul" not in found
    assert "Div" not in found


@pytest.mark.parametrize(
    "scores",
    [
        "product = MatMul (q, k)\nscores = Mul (product, zero)",
        "product = MatMul (q, k)\nscores = Mul (product, row)",
        "product = MatMul (q, k)\nscaled = Mul (product, scale)\nscores = Add (scaled, product)",
        "product = MatMul (q, k)\nscores = Div (scale, product)",
    ],
)
def test_other_factors_stay(scores: str) -> None:
    assert {"Mul", "Div"} & set(rewritten(attention(scores)))


def test_a_projection_that_others_read_is_left_to_the_other_operand() -> None:
    proto = attention(
        "product = MatMul (q, k)\nscaled = Mul (product, scale)\n"
        "own = Transpose <perm=[0,1,3,2]> (q)\nsquare = MatMul (q, own)\nscores = Add (scaled, square)"
    )
    model = ir.from_proto(proto)
    canonicalize(model)
    assert "Mul" not in [node.op_type for node in model.graph]
    before = {weight.name: onnx.numpy_helper.to_array(weight) for weight in proto.graph.initializer}
    after = {name: ir.convenience.get_const_tensor(value) for name, value in model.graph.initializers.items()}
    assert (np.asarray(after["w_q"]) == before["w_q"]).all()
    assert (np.asarray(after["w_k"]) != before["w_k"]).any()
    assert_same_function(proto, model)


def test_nothing_behind_it_is_nothing_to_do() -> None:
    model = ir.from_proto(attention("scores = MatMul (q, k)"))
    assert not ScaleHoisting()(model)
