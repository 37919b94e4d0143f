"""Normalisation by the root mean square in single operators, guarded for float16 or not."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from depthdeploy.graph.passes.rms_norm_decomposition import RmsNormDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function


def graph(shape: tuple[int, ...] = (1, 6, 8), axis: int = -1, epsilon: float = 1e-5) -> onnx.ModelProto:
    sizes, inner = ",".join(map(str, shape)), ",".join(map(str, shape[axis:]))
    return build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth) <float[{inner}] w_gain>
        {{
            x = Neg (image)
            norm = RMSNormalization <axis={axis}, epsilon={epsilon:.12f}> (x, w_gain)
            depth = Neg (norm)
        }}""",
        opset=23,
    )


def decomposed(proto: onnx.ModelProto, rule: RmsNormDecomposition) -> list[str]:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert rule(model)
    assert not rule(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph][1:-1]


def test_the_forms() -> None:
    plain = ["Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]
    assert decomposed(graph(), RmsNormDecomposition()) == plain
    guarded = decomposed(graph(), RmsNormDecomposition(guard_fp16=True))
    assert guarded == ["Mul", *plain[:4], "Max", *plain[4:]]


def test_large_activations_in_float16() -> None:
    text = """<ir_version: 10, opset_import: ["" : 23]>
        g (float16[2,64] x, float16[64] gain) => (float16[2,64] y) { y = RMSNormalization (x, gain) }"""
    image = (np.random.default_rng(0).normal(size=(2, 64)) * 2000).astype(np.float16)
    wide = image.astype(np.float64)
    exact = wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True))
    for max_abs, right in ((250.0, False), (8192.0, True)):
        model = ir.from_proto(onnx.parser.parse_model(text))
        assert RmsNormDecomposition(guard_fp16=True, max_abs=max_abs, half_sums=right)(model)
        with np.errstate(over="ignore"):
            feeds = {"x": image, "gain": np.ones(64, np.float16)}
            (found,) = ReferenceEvaluator(as_proto(model)).run(None, feeds)
        assert np.allclose(found, exact, rtol=1e-2, atol=1e-2) == right


@pytest.mark.parametrize("name", all_graphs())
def test_graphs_without_it_stay(name: str) -> None:
    assert not RmsNormDecomposition()(ir.from_proto(all_graphs()[name]))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(lambda sizes: (1, *sizes)),
    data=st.data(),
    epsilon=st.sampled_from([1e-12, 1e-6, 1e-5, 1e-3]),
    rule=st.builds(
        RmsNormDecomposition, st.booleans(), st.sampled_from([8.0, 127.0, 65504.0]), st.booleans(), st.booleans()
    ),
)
def test_any_axis_and_epsilon(
    shape: tuple[int, ...], data: st.DataObject, epsilon: float, rule: RmsNormDecomposition
) -> None:
    axis = data.draw(st.integers(1 - len(shape), len(shape) - 1).filter(lambda one: one != 0))
    decomposed(graph(shape, axis, epsilon), rule)
