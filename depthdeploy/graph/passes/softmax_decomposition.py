"""Softmax in single operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes
from depthdeploy.graph.replacement import Replacement, opset, reduced


@dataclass(frozen=True, slots=True)
class SoftmaxDecomposition:
    """``Softmax`` becomes ``ReduceMax, Sub, Exp, ReduceSum, Div``; ``LogSoftmax`` ``..., ReduceSum, Log, Sub``.

    No exponential is above 1 and the largest is 1, so that neither it nor the sum can overflow, nor the sum vanish.
    """

    name: str = "softmax-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Softmax", "LogSoftmax") if opset(model) >= 18 else ():
            changed |= _decompose(model, node)
        return changed


def _decompose(model: ir.Model, node: ir.Node) -> bool:
    x = node.inputs[0]
    if x is None or x.dtype is None or x.shape is None or len(x.shape) == 0:
        return False
    axis = (node.attributes.get_int("axis", -1) or 0) % len(x.shape)
    parts, kept, small = Replacement(model, node), (ir.AttrInt64("keepdims", 1),), reduced(x, [axis])
    axes = parts.constant(np.array([axis], dtype=np.int64), "axes")
    largest = parts.make("ReduceMax", [x, axes], "largest", shape=small, attributes=kept)
    below = parts.make("Sub", [x, largest], "below")
    powers = parts.make("Exp", [below], "powers")
    total = parts.make("ReduceSum", [powers, axes], "total", shape=small, attributes=kept)
    if node.op_type == "Softmax":
        parts.finish(parts.make("Div", [powers, total], "shares"))
    else:
        parts.finish(parts.make("Sub", [below, parts.make("Log", [total], "log_total")], "log_shares"))
    return True
