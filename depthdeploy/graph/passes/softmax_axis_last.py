"""Softmax over another axis than the last, for chips that normalise the innermost one only."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes
from depthdeploy.graph.replacement import Replacement


@dataclass(frozen=True, slots=True)
class SoftmaxAxisLast:
    """``Softmax`` and ``LogSoftmax`` are over the last axis, which changes places with theirs before and after."""

    name: str = "softmax-axis-last"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Softmax", "LogSoftmax"):
            changed |= _move(model, node)
        return changed


def _move(model: ir.Model, node: ir.Node) -> bool:
    x = node.inputs[0]
    if x is None or x.shape is None or len(x.shape) == 0:
        return False
    last = len(x.shape) - 1
    axis = (node.attributes.get_int("axis", -1) or 0) % len(x.shape)
    if axis == last:
        return False
    order = [*range(last + 1)]
    order[axis], order[last] = last, axis
    parts, turned = Replacement(model, node), ir.Shape([x.shape[index] for index in order])
    swap = (ir.AttrInt64s("perm", order),)  # its own inverse
    before = parts.make("Transpose", [x], "axis_last", shape=turned, attributes=swap)
    over = (ir.AttrInt64("axis", -1),)
    normalized = parts.make(node.op_type, [before], "over_last", shape=turned, attributes=over)
    parts.finish(parts.make("Transpose", [normalized], "axis_back", shape=x.shape, attributes=swap))
    return True
