"""GELU written out (Hendrycks and Gimpel 2016): found by its arithmetic, however that is ordered, and written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, static_shape
from depthdeploy.graph.polynomial import Polynomial, close, expand, results, sources
from depthdeploy.graph.replacement import Replacement

#: As ``Gelu``'s attribute ``approximate`` has them: ``x Phi(x)`` itself, and its approximation by a hyperbolic tangent.
Form = Literal["none", "tanh"]

_RATE: Final = math.sqrt(2 / math.pi)
_CUBIC: Final = 0.044715
_GATED: Final[Polynomial] = {(1, 0): 0.5, (1, 1): 0.5}


@dataclass(frozen=True, slots=True)
class _Spelling:
    """``y`` as a polynomial of ``x`` and of the activation ``t``, whose argument is a polynomial of ``x``."""

    form: Form
    argument: Polynomial
    result: Polynomial


_SPELLINGS: Final[Mapping[str, _Spelling]] = {
    "Erf": _Spelling("none", {(1,): math.sqrt(0.5)}, _GATED),
    "Tanh": _Spelling("tanh", {(1,): _RATE, (3,): _RATE * _CUBIC}, _GATED),
    "Sigmoid": _Spelling("tanh", {(1,): 2 * _RATE, (3,): 2 * _RATE * _CUBIC}, {(1, 1): 1.0}),
}

#: Share by which a coefficient may miss its own: what rounding constants and multiplying a few of them costs.
_TOLERANCES: Final = {ir.DataType.FLOAT: 1e-5, ir.DataType.DOUBLE: 1e-5, ir.DataType.FLOAT16: 2e-3,
                      ir.DataType.BFLOAT16: 2e-2}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gelu:
    """One that is written out: ``end`` gives ``gelu(x)``."""

    x: ir.Value
    end: ir.Node
    form: Form


def written_out(model: ir.Model) -> Iterator[Gelu]:
    """Every GELU in single operators; safe against the replacement of those that were given out."""
    for node in main_nodes(model, *_SPELLINGS):
        spelling, activation = _SPELLINGS[node.op_type], node.outputs[0]
        tolerance = _TOLERANCES.get(activation.dtype or ir.DataType.UNDEFINED, 0.0)
        for x in dict.fromkeys(sources(node.inputs[0])):
            end = _end(x, activation, spelling.result, tolerance)
            if end is not None and close(expand(node.inputs[0], [x]), spelling.argument, tolerance):
                yield Gelu(x, end, spelling.form)
                break


def _end(x: ir.Value, activation: ir.Value, wanted: Polynomial, tolerance: float) -> ir.Node | None:
    for node in results(activation, 4):
        if close(expand(node.outputs[0], [x, activation]), wanted, tolerance):
            same = static_shape(node.outputs[0]) == static_shape(x) is not None
            return node if same else None
    return None


def write(parts: Replacement, x: ir.Value, form: Form) -> ir.Value:
    """GELU in single operators.

    The exact form is written as PyTorch's older exporter does, ``x (1 + erf(x / sqrt(2))) 0.5``, which vendors' parsers
    know. The argument of the tangent is ``x (a + a b x^2)``, ``a = sqrt(2 / pi)``, ``b = 0.044715``: the square has a
    smaller range than the cube, and there is one node fewer.
    """
    if form == "none":
        divided = parts.make("Div", [x, parts.number(math.sqrt(2), "root_two", like=x)], "divided")
        activation = parts.make("Erf", [divided], "erf")
    else:
        square = parts.make("Mul", [x, x], "square")
        bent = parts.make("Mul", [square, parts.number(_RATE * _CUBIC, "bend", like=x)], "bent")
        slope = parts.make("Add", [bent, parts.number(_RATE, "rate", like=x)], "slope")
        activation = parts.make("Tanh", [parts.make("Mul", [x, slope], "argument")], "tanh")
    gate = parts.make("Add", [activation, parts.number(1, "one", like=x)], "gate")
    gated = parts.make("Mul", [x, gate], "gated")
    return parts.make("Mul", [gated, parts.number(0.5, "half", like=x)], "halved")
