"""One form for every way to write a clamp: ``Relu`` for ``max(x, 0)``, ``Clip(x, low, high)`` for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import given, main_nodes, only_consumer, producer, scalar, set_constant, static_shape

_CLAMPS = ("Relu", "Clip", "Min", "Max")


@dataclass(frozen=True, slots=True)
class ClipUnification:
    """``Min(Max(x, 0), 6)``, ``Clip(Relu(x), max=6)`` and their kin become ``Clip(x, 0, 6)``; at 0 alone, ``Relu``."""

    name: str = "clip-unification"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, *_CLAMPS):
            bounds = _bounds(node)
            source = None if bounds is None else _clamped(node)
            if bounds is None or source is None or source.dtype != ir.DataType.FLOAT:
                continue
            before = producer(source, *_CLAMPS)
            inner = None if before is None or only_consumer(source) is not node else _bounds(before)
            if before is not None and inner is not None:
                source = _clamped(before)
                bounds = _composed(inner, bounds)
            if source is None or static_shape(source) != static_shape(node.outputs[0]):
                continue
            if inner is not None or not _is_canonical(node, bounds):
                _rewrite(model, node, source, bounds)
                changed = True
        return changed


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """The interval that a clamp by constants clamps to."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    if node.op_type == "Clip":
        low, high = given(node, 1), given(node, 2)
        bounds = (-math.inf if low is None else scalar(low), math.inf if high is None else scalar(high))
        return None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1])
    if len(node.inputs) != 2:
        return None
    bound = next((value for value in map(scalar, node.inputs) if value is not None), None)
    if bound is None:
        return None
    return (bound, math.inf) if node.op_type == "Max" else (-math.inf, bound)


def _clamped(node: ir.Node) -> ir.Value | None:
    """The value that is clamped: of ``Min`` and ``Max`` the operand that is no constant."""
    if node.op_type in ("Relu", "Clip"):
        return node.inputs[0]
    return next((value for value in node.inputs if scalar(value) is None), None)


def _composed(inner: tuple[float, float], outer: tuple[float, float]) -> tuple[float, float]:
    """The interval of ``outer`` after ``inner``: both ends of the inner one, clamped by the outer one."""
    low, high = (min(max(end, outer[0]), outer[1]) for end in inner)
    return low, high


def _is_canonical(node: ir.Node, bounds: tuple[float, float]) -> bool:
    if bounds == (0.0, math.inf):
        return node.op_type == "Relu"
    return node.op_type == "Clip" and all((given(node, 1 + i) is None) == math.isinf(bounds[i]) for i in (0, 1))


def _rewrite(model: ir.Model, node: ir.Node, source: ir.Value, bounds: tuple[float, float]) -> None:
    graph = node.graph
    if graph is None:
        return
    is_relu = bounds == (0.0, math.inf)
    fresh = ir.Node("", "Relu" if is_relu else "Clip", [source], num_outputs=1, name=node.name)
    graph.insert_before(node, fresh)
    for index, bound in enumerate(bounds):
        if not is_relu and not math.isinf(bound):
            set_constant(model, fresh, 1 + index, np.array(bound, dtype=np.float32), ("low", "high")[index])
    old, new = node.outputs[0], fresh.outputs[0]
    new.shape, new.type = old.shape, old.type
    new.name, old.name = old.name, None
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
