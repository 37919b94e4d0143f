"""GELU in single operators: the order that parsers know, and finite in float16 whatever goes in."""

import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from depthdeploy.graph.passes.gelu_decomposition import GeluDecomposition
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function

ORDERS = {
    "none": ["Div", "Erf", "Add", "Mul", "Mul"],
    "tanh": ["Mul", "Mul", "Add", "Mul", "Tanh", "Add", "Mul", "Mul"],
}


@pytest.mark.parametrize(("form", "order"), ORDERS.items())
def test_the_orders(form: str, order: list[str]) -> None:
    proto = build(
        f"""g (float[1,4,6] image) => (float[1,4,6] depth) {{ depth = Gelu <approximate="{form}"> (image) }}""",
        opset=20,
    )
    model = ir.from_proto(proto)
    assert GeluDecomposition()(model)
    assert not GeluDecomposition()(model)
    assert [node.op_type for node in model.graph] == order
    assert all((node.name or "").startswith("depth_") for node in model.graph)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)


def test_the_form_is_exact_where_none_is_named() -> None:
    proto = build("g (float[1,4] image) => (float[1,4] depth) { depth = Gelu (image) }", opset=20)
    model = ir.from_proto(proto)
    assert GeluDecomposition()(model)
    assert [node.op_type for node in model.graph] == ORDERS["none"]
    assert_same_function(proto, model)


@pytest.mark.parametrize("form", ORDERS)
def test_large_values_in_float16_are_themselves_or_zero(form: str) -> None:
    text = f"""<ir_version: 10, opset_import: ["" : 20]>
        g (float16[6] x) => (float16[6] y) {{ y = Gelu <approximate="{form}"> (x) }}"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    assert GeluDecomposition()(model)
    values = np.array([-20000, -500, -50, 50, 500, 20000], np.float16)
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore")
        (found,) = ReferenceEvaluator(as_proto(model)).run(None, {"x": values})
    np.testing.assert_array_equal(found, np.maximum(values, 0))


@pytest.mark.parametrize("name", all_graphs())
def test_the_law(name: str) -> None:
    assert not GeluDecomposition()(ir.from_proto(all_graphs()[name]))
