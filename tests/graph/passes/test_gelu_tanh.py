"""GELU by a tangent differs by what is said of it, and by nothing else."""

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.target import ApproximatePass
from depthdeploy.graph.passes.gelu_tanh import GeluTanh
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, outputs
from depthdeploy.testing.transformer_graphs import block

ERF = """part = Div (image, root)\nact = Erf (part)\ngate = Add (act, one)\ngated = Mul (image, gate)
         depth = Mul (gated, half)"""
TOLD = 4.74e-4


def graph(body: str, opset: int = 20) -> onnx.ModelProto:
    return build(
        f"""g (float[20001] image) => (float[20001] depth)
        <float root = {{1.4142135}}, float one = {{1}}, float half = {{0.5}}> {{ {body} }}""",
        opset=opset,
    )


def rewritten(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert GeluTanh()(model)
    assert not GeluTanh()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    return model


def test_it_is_asked_for_by_its_option() -> None:
    assert isinstance(GeluTanh(), ApproximatePass)
    assert GeluTanh().option == "gelu=tanh"


@pytest.mark.parametrize("body", [ERF, "depth = Gelu (image)"], ids=["written out", "operator"])
def test_the_difference_is_what_is_said_of_it(body: str) -> None:
    proto = graph(body)
    image = np.linspace(-10, 10, 20001, dtype=np.float32)
    exact, found = outputs(proto, image)[0], outputs(as_proto(rewritten(proto)), image)[0]
    difference = np.abs(exact - found)
    assert TOLD - 1e-5 < difference.max() < TOLD + 1e-6
    assert abs(image[difference.argmax()]) == pytest.approx(2.70, abs=0.01)
    wide = image.astype(np.float64)
    tangent = 0.5 * wide * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    np.testing.assert_allclose(found, tangent, atol=1e-5)


def test_no_erf_stays_in_a_block_of_a_transformer() -> None:
    model = rewritten(block())
    kinds = [node.op_type for node in model.graph]
    assert kinds.count("Tanh") == 1
    assert "Erf" not in kinds


def test_an_operator_keeps_its_place_and_is_told() -> None:
    model = rewritten(graph("depth = Gelu (image)"))
    (node,) = model.graph
    assert node.attributes.get_string("approximate") == "tanh"


@pytest.mark.parametrize("body", ["depth = Erf (image)", 'depth = Gelu <approximate="tanh"> (image)'])
def test_what_is_no_exact_gelu_stays(body: str) -> None:
    assert not GeluTanh()(ir.from_proto(graph(body)))


@pytest.mark.parametrize("name", all_graphs())
def test_graphs_without_it_stay(name: str) -> None:
    assert not GeluTanh()(ir.from_proto(all_graphs()[name]))
