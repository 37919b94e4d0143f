"""Clamps by ``Relu``, ``Min`` and ``Max``, for parsers that have no ``Clip`` of both bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from depthdeploy.graph.edit import given, main_nodes, scalar
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.replacement import opset

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True, slots=True)
class ClipAsRelu:
    """``Clip(x, 0)`` becomes ``Relu(x)``.

    Attributes:
        bounded: what becomes of clamps by other constants: they stay, or become ``Min(Max(x, low), high)``, whose
            ``Max`` is ``Relu`` where the lower bound is 0.
    """

    bounded: Literal["keep", "min-max"] = "keep"
    name: str = "clip-as-relu"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Clip") if opset(model) >= 13 else ():
            bounds = _bounds(node)
            if bounds is not None and (self.bounded == "min-max" or bounds == (0.0, math.inf)):
                _rewrite(model, node, bounds)
                changed = True
        return changed


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """The bounds of a clamp of floats, where they are constants."""
    if node.inputs[0] is None or node.inputs[0].dtype not in _FLOATS:
        return None
    low, high = given(node, 1), given(node, 2)
    bounds = (-math.inf if low is None else scalar(low), math.inf if high is None else scalar(high))
    if bounds[0] is None or bounds[1] is None or math.isnan(bounds[0]) or math.isnan(bounds[1]):
        return None
    return bounds[0], bounds[1]


def _rewrite(model: ir.Model, node: ir.Node, bounds: tuple[float, float]) -> None:
    parts, value = Emission(model, node), node.inputs[0]
    low, high = bounds
    if value is None:
        return
    if low == 0:
        value = parts.emit("Relu", value, what="relu")
    elif low > -math.inf:
        value = parts.emit("Max", value, parts.number(low, "low", like=value), what="max")
    if high < math.inf:
        value = parts.emit("Min", value, parts.number(high, "high", like=value), what="min")
    parts.finish(value)
