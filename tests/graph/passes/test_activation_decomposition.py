"""Activations by their definitions: nothing of the named ones is left, and the values are theirs."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.activation_decomposition import ActivationDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function, outputs

NAMES = ["Celu", "Elu", "HardSigmoid", "Mish", "Selu", "Softplus", "ThresholdedRelu"]


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def graph(node: str, opset: int = 18) -> onnx.ModelProto:
    return build(
        f"""g (float[1,3,4,4] image) => (float[1,3,4,4] depth)
        {{ x = Identity (image)\ny = {node} (x)\ndepth = Neg (y) }}""",
        opset=opset,
    )


def decomposed(proto: onnx.ModelProto, *names: str) -> ir.Model:
    model = inferred(proto)
    one = ActivationDecomposition(names) if names else ActivationDecomposition()
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_no_named_activation_is_left(name: str) -> None:
    model = decomposed(graph(name))
    assert not {node.op_type for node in model.graph} & set(NAMES)
    assert all(node.name.startswith(("y_", "x", "depth")) for node in model.graph if node.name)


@pytest.mark.parametrize("alpha", [1.0, 1.702])
def test_swish_is_a_product_with_a_sigmoid(alpha: float) -> None:
    model = decomposed(graph(f"Swish <alpha={alpha}>", opset=24))
    found = [node.op_type for node in model.graph][1:-1]
    assert found == (["Sigmoid", "Mul"] if alpha == 1 else ["Mul", "Sigmoid", "Mul"])


def test_only_the_listed_ones_are_taken_apart() -> None:
    model = decomposed(graph("Mish"), "Mish")
    assert [node.op_type for node in model.graph] == ["Identity", "Softplus", "Tanh", "Mul", "Neg"]


def test_an_older_operator_set_and_an_unknown_type_are_left_alone() -> None:
    assert not ActivationDecomposition()(inferred(graph("Elu", opset=17)))
    model = inferred(graph("Elu"))
    next(node for node in model.graph if node.op_type == "Elu").inputs[0].type = None  # type: ignore[union-attr]
    assert not ActivationDecomposition()(model)


def test_softplus_does_not_overflow() -> None:
    model = as_proto(decomposed(graph("Softplus")))
    image = np.linspace(-200, 200, 48, dtype=np.float32).reshape(1, 3, 4, 4)
    found = -outputs(model, image)[0]
    assert np.allclose(found, np.logaddexp(0, image), rtol=1e-6, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    alpha=st.floats(0.125, 4, width=32),
    other=st.floats(0.125, 2, width=32),
    name=st.sampled_from(["Celu", "Elu", "HardSigmoid", "Selu", "ThresholdedRelu"]),
)
def test_every_attribute_is_kept(alpha: float, other: float, name: str) -> None:
    second = {"HardSigmoid": f", beta={other:.8f}", "Selu": f", gamma={other:.8f}"}.get(name, "")
    decomposed(graph(f"{name} <alpha={alpha:.8f}{second}>"))


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_graphs_without_them_stay(name: str) -> None:
    assert not ActivationDecomposition()(inferred(all_graphs()[name]))
