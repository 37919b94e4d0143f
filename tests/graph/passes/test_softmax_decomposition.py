"""Softmax in single operators, also of scores whose exponentials no float holds."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.passes.softmax_decomposition import SoftmaxDecomposition
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function, outputs

FORMS = {
    "Softmax": ["ReduceMax", "Sub", "Exp", "ReduceSum", "Div"],
    "LogSoftmax": ["ReduceMax", "Sub", "Exp", "ReduceSum", "Log", "Sub"],
}


def graph(shape: tuple[int, ...], axis: int, operator: str) -> onnx.ModelProto:
    sizes = ",".join(map(str, shape))
    return build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth)
        {{ x = Neg (image)\ny = {operator} <axis={axis}> (x)\ndepth = Neg (y) }}"""
    )


def decomposed(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert SoftmaxDecomposition()(model)
    assert not SoftmaxDecomposition()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    return model


@pytest.mark.parametrize(("operator", "order"), FORMS.items())
def test_the_orders(operator: str, order: list[str]) -> None:
    proto = graph((1, 3, 4), 1, operator)
    model = decomposed(proto)
    assert [node.op_type for node in model.graph] == ["Neg", *order, "Neg"]
    assert all((node.name or "").startswith("y_") for node in list(model.graph)[1:-1])
    assert_same_function(proto, model)


@pytest.mark.parametrize("operator", FORMS)
def test_large_scores_do_not_overflow(operator: str) -> None:
    proto = graph((1, 3, 4), -1, operator)
    image = (np.random.default_rng(0).normal(size=(1, 3, 4)) * 1e4).astype(np.float32)
    (expected,), (found,) = outputs(proto, image), outputs(as_proto(decomposed(proto)), image)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_float16_stays_so_and_does_not_overflow() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]>
        g (float16[2,64] x) => (float16[2,64] y) { y = Softmax (x) }"""
    model = decomposed(onnx.parser.parse_model(text))
    assert all(value.dtype == ir.DataType.FLOAT16 for node in model.graph for value in node.outputs)
    scores = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float16) * np.float16(100)
    (found,) = ReferenceEvaluator(as_proto(model)).run(None, {"x": scores})
    wide = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(np.asarray(found), wide / wide.sum(axis=-1, keepdims=True), atol=2e-3)


def test_older_operator_sets_are_left_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : 17]> g (float[2,4] x) => (float[2,4] y) { y = Softmax (x) }"""
    assert not SoftmaxDecomposition()(ir.from_proto(onnx.parser.parse_model(text)))


@pytest.mark.parametrize("name", all_graphs())
def test_the_law(name: str) -> None:
    proto = all_graphs()[name]
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert SoftmaxDecomposition()(model) == any(node.op_type == "Softmax" for node in proto.graph.node)
    assert_same_function(proto, model)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(lambda sizes: (1, *sizes)),
    data=st.data(),
    operator=st.sampled_from([*FORMS]),
)
def test_any_axis(shape: tuple[int, ...], data: st.DataObject, operator: str) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    proto = graph(shape, axis, operator)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (expected,), (found,) = outputs(proto, image), outputs(as_proto(decomposed(proto)), image)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
