"""Conditions on a node's surroundings: compilers that know an operator only as a part of something larger."""

from __future__ import annotations

import math

import onnx_ir as ir

from depthdeploy.graph.checks.subject import Arguments, Subject
from depthdeploy.graph.edit import only_consumer, producer, scalar


def not_in_gelu(subject: Subject, _: Arguments) -> str | None:
    """An ``Erf`` outside ``Div, Erf, Add, Mul, Mul``, the order of PyTorch's older exporter."""
    scaled = producer(subject.node.inputs[0], "Div")
    x = None if scaled is None else scaled.inputs[0]
    if scaled is None or not _is(scaled.inputs[1], math.sqrt(2)):
        return "an argument that is not x / sqrt(2)"
    shifted = _next(subject.node.outputs[0], "Add", 1.0)
    gated = None if shifted is None else only_consumer(shifted.outputs[0])
    if gated is None or gated.op_type != "Mul" or x not in gated.inputs:
        return "a result that is not x (1 + erf)"
    return None if _next(gated.outputs[0], "Mul", 0.5) is not None else "a product that is not halved"


def _next(value: ir.Value, operator: str, number: float) -> ir.Node | None:
    """The only reader of a value, when it combines it with a number."""
    node = only_consumer(value)
    if node is None or node.op_type != operator:
        return None
    return node if any(_is(other, number) for other in node.inputs if other is not value) else None


def _is(value: ir.Value | None, number: float) -> bool:
    found = scalar(value)
    return found is not None and math.isclose(found, number, rel_tol=1e-4)
