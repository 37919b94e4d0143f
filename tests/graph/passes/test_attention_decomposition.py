"""Attention in single operators is what ONNX says that it is, without what static shapes make superfluous."""

import logging

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.attention_decomposition import AttentionDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function

CORE = ["Transpose", "Mul", "Mul", "MatMul", "Softmax", "MatMul"]


def graph(
    attributes: str = "", *, mask: str = "", shape: str = "1,2,6,4", shared: bool = False, opset: int = 23
) -> onnx.ModelProto:
    """Attention over the image's own values; ``mask`` declares a constant of that name."""
    keys = "shared_k, shared_v" if shared else "k, v"
    return build(
        f"""g (float[{shape}] image) => (float[{shape}] depth)
        <float half = {{0.5}}, int64[1] one = {{1}}, int64[1] first = {{0}}{mask}>
        {{
            k = Mul (image, half)\nshared_k = Slice (k, first, one, one)
            v = Neg (image)\nshared_v = Slice (v, first, one, one)
            attended = Attention {f"<{attributes}>" if attributes else ""} (image, {keys}{", mask" if mask else ""})
            depth = Neg (attended)
        }}""",
        opset=opset,
    )


def decomposed(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert AttentionDecomposition()(model)
    assert not AttentionDecomposition()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    assert all(value.shape is not None and value.dtype for node in model.graph for value in node.outputs)
    return model


def kinds(model: ir.Model) -> list[str]:
    named = (node for node in model.graph if (node.name or "").startswith("attended"))
    return [node.op_type for node in named]


def test_without_a_mask_two_products_and_a_softmax_are_left() -> None:
    assert sorted(kinds(decomposed(graph()))) == sorted(CORE)


def test_a_causal_mask_is_one_addition() -> None:
    assert sorted(kinds(decomposed(graph("is_causal=1")))) == sorted([*CORE, "Add"])


def test_a_constant_mask_is_one_addition_and_rows_are_not_asked_after() -> None:
    mask = ", bool[6,6] mask = {" + ", ".join(["1, 1, 1, 1, 1, 0"] * 6) + "}"
    assert sorted(kinds(decomposed(graph(mask=mask)))) == sorted([*CORE, "Add"])


def test_rows_that_are_masked_as_a_whole_give_zeros() -> None:
    mask = ", bool[6,6] mask = {" + ", ".join(["0, 0, 0, 0, 0, 0"] + ["1, 1, 1, 1, 1, 0"] * 5) + "}"
    assert "Where" in kinds(decomposed(graph(mask=mask)))


def test_a_soft_cap_and_a_scale() -> None:
    found = kinds(decomposed(graph("softcap=2.0, scale=0.25")))
    assert {"Tanh", "Div"} <= set(found)


def test_heads_of_the_last_axis_are_taken_apart_and_put_together() -> None:
    found = kinds(decomposed(graph("q_num_heads=2, kv_num_heads=2", shape="1,6,8")))
    assert found.count("Reshape") == 4
    assert found.count("Transpose") == 4


def test_keys_that_heads_share_are_repeated() -> None:
    assert "Expand" in kinds(decomposed(graph(shared=True)))


def test_nothing_is_said_on_the_way(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        decomposed(graph("is_causal=1"))
    assert not caplog.records


def test_sizes_that_are_not_known_are_left_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : 23]> g (float[1,2,N,4] x) => (float[1,2,N,4] y)
        { y = Attention (x, x, x) }"""
    assert not AttentionDecomposition()(ir.from_proto(onnx.parser.parse_model(text)))


@pytest.mark.parametrize("name", all_graphs())
def test_graphs_without_it_stay(name: str) -> None:
    assert not AttentionDecomposition()(ir.from_proto(all_graphs()[name]))


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5)),
    causal=st.integers(0, 1),
    scale=st.sampled_from([0.0, 0.125, 1.0]),
    opset=st.sampled_from([23, 24]),
)
def test_any_sizes(sizes: tuple[int, int, int], causal: int, scale: float, opset: int) -> None:
    attributes = f"is_causal={causal}" + (f", scale={scale}" if scale else "")
    model = decomposed(graph(attributes, shape=f"1,{sizes[0]},{sizes[1]},{sizes[2]}", opset=opset))
    assert kinds(model).count("MatMul") == 2
