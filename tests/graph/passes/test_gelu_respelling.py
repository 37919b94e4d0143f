"""GELU in every order becomes the one that vendors' parsers know; what is in that order, or no GELU, stays."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.support import Constraint
from depthdeploy.graph.checks.subject import Subject
from depthdeploy.graph.constraints import broken
from depthdeploy.graph.passes.gelu_respelling import GeluRespelling
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import assert_same_function

HEAD = """tiny (float[1,5,8] image) => (float[1,5,8] depth)
    <float root = {{1.4142135623}}, float turn = {{0.70710678118}}, float one = {{1}}, float half = {{0.5}}> {{ {} }}"""

CANONICAL = "a = Div(image, root) b = Erf(a) c = Add(b, one) d = Mul(image, half) depth = Mul(d, c)"
PYTORCH = "a = Div(image, root) b = Erf(a) c = Add(b, one) d = Mul(image, c) depth = Mul(d, half)"
SPELLINGS = {
    "canonical": CANONICAL,
    "a factor before": "a = Mul(image, turn) b = Erf(a) c = Add(b, one) d = Mul(image, c) depth = Mul(d, half)",
    "the gate halved": "a = Div(image, root) b = Erf(a) c = Add(b, one) e = Mul(c, half) depth = Mul(image, e)",
}
ORDER = ["Div", "Erf", "Add", "Mul", "Mul"]


def text(body: str) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(build(HEAD.format(body)))


def erf_is_known(model: ir.Model) -> bool:
    (erf,) = (node for node in model.graph if node.op_type == "Erf")
    return broken(Constraint("within-gelu"), Subject(erf, 18)) is None


@pytest.mark.parametrize("body", SPELLINGS.values(), ids=SPELLINGS)
def test_every_order_becomes_one(body: str) -> None:
    before = text(body)
    model = ir.from_proto(before)
    assert not erf_is_known(model)
    assert GeluRespelling()(model)
    assert [node.op_type for node in model.graph] == ORDER
    assert erf_is_known(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert_same_function(before, model)
    assert not GeluRespelling()(model)


UNTOUCHED = {
    "in order": PYTORCH,
    "no gelu": "a = Div(image, root) b = Erf(a) c = Add(b, one) d = Mul(b, half) depth = Mul(d, c)",
    "erf alone": "depth = Erf(image)",
}


@pytest.mark.parametrize("body", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_stays(body: str) -> None:
    model = ir.from_proto(text(body))
    before = [(node.op_type, node.outputs[0].name) for node in model.graph]
    assert not GeluRespelling()(model)
    assert [(node.op_type, node.outputs[0].name) for node in model.graph] == before


def test_two_in_a_row() -> None:
    chain = CANONICAL.replace("depth", "x") + " e = Div(x, root) f = Erf(e) g = Add(f, one) h = Mul(x, half)"
    before = text(chain + " depth = Mul(h, g)")
    model = ir.from_proto(before)
    assert GeluRespelling()(model)
    assert [node.op_type for node in model.graph] == ORDER * 2
    assert_same_function(before, model)


@pytest.mark.parametrize("proto", all_graphs().values(), ids=all_graphs())
def test_the_law_on_small_graphs(proto: onnx.ModelProto) -> None:
    model = ir.from_proto(proto)
    changed = GeluRespelling()(model)
    assert_same_function(proto, model)
    assert not changed or not GeluRespelling()(model)
