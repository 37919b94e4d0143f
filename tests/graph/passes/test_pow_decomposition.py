"""Powers by constants."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.pow_decomposition import PowDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def graph(exponent: str) -> onnx.ModelProto:
    return build(
        f"""g (float[1,3,8,8] image) => (float[1,3,8,8] depth) <{exponent}, float half = {{0.5}}>
        {{ size = Abs (image)\nx = Add (size, half)\ny = Pow (x, power)\ndepth = Neg (y) }}"""
    )


@pytest.mark.parametrize(
    ("power", "found"),
    [
        (1, []),
        (2, ["Mul"]),
        (3, ["Mul", "Mul"]),
        (4, ["Mul", "Mul"]),
        (0.5, ["Sqrt"]),
        (-0.5, ["Sqrt", "Reciprocal"]),
        (-1, ["Reciprocal"]),
        (-2, ["Mul", "Reciprocal"]),
    ],
)
@pytest.mark.parametrize("kind", ["float", "float[1]", "int64"])
def test_small_powers(power: float, found: list[str], kind: str) -> None:
    if kind == "int64" and power != int(power):
        pytest.skip("no whole number")
    number = int(power) if kind == "int64" else float(power)
    proto = graph(f"{kind} power = {{{number}}}")
    model, one = inferred(proto), PowDecomposition()
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert [node.op_type for node in model.graph] == ["Abs", "Add", *found, "Neg"]
    assert_same_function(proto, model)


@pytest.mark.parametrize("exponent", ["float power = {2.5}", "float[1,1,1,8] power"])
def test_other_powers_stay(exponent: str) -> None:
    assert not PowDecomposition()(inferred(graph(exponent)))


def test_an_exponent_that_widens_the_result_stays() -> None:
    proto = build(
        """g (float[4] image) => (float[1,4] depth) <float[1,1] power = {2}> { depth = Pow (image, power) }"""
    )
    assert not PowDecomposition()(inferred(proto))


def test_integers_stay() -> None:
    proto = build(
        """g (float[4] image) => (float[4] depth) <int64 power = {2}>
        { whole = Cast <to=7> (image)\ny = Pow (whole, power)\ndepth = Cast <to=1> (y) }"""
    )
    assert not PowDecomposition()(inferred(proto))


def test_negative_bases_and_graph_outputs_keep_their_values() -> None:
    proto = build("g (float[9] image) => (float[9] depth) <float power = {3}> { depth = Pow (image, power) }")
    model = inferred(proto)
    assert PowDecomposition()(model)
    assert np.all([node.op_type == "Mul" for node in model.graph])
    assert_same_function(proto, model)


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_graphs_without_powers_stay(name: str) -> None:
    assert not PowDecomposition()(inferred(all_graphs()[name]))
