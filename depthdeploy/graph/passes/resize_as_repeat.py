"""Nearest ``Resize`` by whole factors as pixels that are repeated, without any arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.replacement import Replacement
from depthdeploy.graph.resize import Resizing
from depthdeploy.graph.resize_node import resizes


@dataclass(frozen=True, slots=True)
class ResizeAsRepeat:
    """A nearest ``Resize`` that grows the last two axes by whole factors becomes ``Concat`` and ``Reshape``.

    Copies of a row beside it, read as rows of the old width, are that row repeated; a column of pixels beside itself,
    read as rows, is every pixel repeated. Batch and channels stay where they are, no tensor gains a dimension, and
    values of every type are copied bit by bit.
    """

    name: str = "resize-as-repeat"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node, resizing in resizes(model):
            source = node.inputs[0]
            if source is not None and _repeats(resizing):
                _rewrite(Replacement(model, node), source, resizing)
                changed = True
        return changed


def _repeats(resizing: Resizing) -> bool:
    rank, changing = len(resizing.axes), resizing.changing
    if resizing.interpolation != "nearest" or rank < 3 or not changing or min(changing) < rank - 2:
        return False
    for index in changing:
        axis = resizing.axes[index]
        factor, rest = divmod(axis.resized, axis.size)
        if rest or not np.array_equal(resizing.matrix(index), np.repeat(np.eye(axis.size), factor, axis=0)):
            return False
    return resizing.is_definite


def _rewrite(parts: Replacement, value: ir.Value, resizing: Resizing) -> None:
    outer, (rows, columns) = resizing.before[:-2], resizing.axes[-2:]
    down, across = rows.resized // rows.size, columns.resized // columns.size
    if down > 1:
        value = _beside(parts, value, "rows", down)
    if across > 1:
        value = _reshaped(parts, value, "pixels", [*outer, rows.resized * columns.size, 1])
        value = _beside(parts, value, "columns", across)
    parts.finish(_reshaped(parts, value, "image", resizing.after))


def _beside(parts: Replacement, value: ir.Value, what: str, count: int) -> ir.Value:
    *outer, width = static_shape(value) or ()
    along = [ir.AttrInt64("axis", len(outer))]
    shape = ir.Shape([*outer, width * count])
    return parts.make("Concat", [value] * count, f"{what}_repeated", shape=shape, attributes=along)


def _reshaped(parts: Replacement, value: ir.Value, what: str, shape: Sequence[int]) -> ir.Value:
    target = parts.constant(np.array(shape, dtype=np.int64), f"{what}_shape")
    return parts.make("Reshape", [value, target], f"as_{what}", shape=ir.Shape(shape))
