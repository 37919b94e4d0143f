"""HardSwish in the operators before it."""

from typing import Literal

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.hard_swish_decomposition import HardSwishDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, assert_same_function


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


@pytest.mark.parametrize(
    ("gate", "found"), [("clip", ["Mul", "Add", "Clip", "Mul"]), ("hard-sigmoid", ["HardSigmoid", "Mul"])]
)
def test_hard_swish_is_a_product_with_a_ramp(gate: Literal["clip", "hard-sigmoid"], found: list[str]) -> None:
    proto = build(
        """g (float[1,3,16,16] image) => (float[1,3,16,16] depth) <float three = {3}>
        { x = Mul (image, three)\ny = HardSwish (x)\ndepth = Neg (y) }"""
    )
    model, one = inferred(proto), HardSwishDecomposition(gate)
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert [node.op_type for node in model.graph] == ["Mul", *found, "Neg"]
    assert_same_function(proto, model)


def test_integers_are_left_to_the_checker() -> None:
    model = inferred(build("g (float[2] image) => (float[2] depth) { depth = HardSwish (image) }"))
    model.graph.inputs[0].type = ir.TensorType(ir.DataType.INT32)
    assert not HardSwishDecomposition()(model)
