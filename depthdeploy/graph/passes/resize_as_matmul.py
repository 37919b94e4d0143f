"""``Resize`` as products with constant matrices, for chips that do not know its rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.replacement import Replacement
from depthdeploy.graph.resize import Interpolation, Resizing
from depthdeploy.graph.resize_node import resizes
from depthdeploy.interpolation import Axis


@dataclass(frozen=True, slots=True)
class ResizeAsMatMul:
    """A ``Resize`` of the last two axes becomes ``A_h X A_w^T``, a ``MatMul`` by a constant for each that changes.

    Every rule of coordinates and every interpolation is such a product, for all that a ``Resize`` does is linear and
    separable. The products cost as many operations as the sides are long, so only small maps are rewritten. The order
    is the one with fewer operations. Tensors of float32 only.

    Attributes:
        largest: the longest side, of the input or of the result, that is still rewritten.
        interpolations: those that are rewritten.
        rules: the rules of coordinates that are rewritten; all of them when empty.
        spare_whole: whether a resize stays that grows every side by a whole factor, ``(out - 1) / (in - 1)`` between
            aligned corners: chips that know a rule know it for those.
        largest_plane: the most values of one row of all channels that are still rewritten: chips that make products
            convolutions turn channels and rows, and some can only turn so many at once.
    """

    largest: int
    interpolations: tuple[Interpolation, ...] = ("linear", "cubic")
    rules: tuple[str, ...] = ()
    spare_whole: bool = False
    largest_plane: int | None = None
    name: str = "resize-as-matmul"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node, resizing in resizes(model):
            source = node.inputs[0]
            if source is not None and source.dtype == ir.DataType.FLOAT and self._wants(resizing):
                _rewrite(Replacement(model, node), source, resizing)
                changed = True
        return changed

    def _wants(self, resizing: Resizing) -> bool:
        rank, changing = len(resizing.axes), resizing.changing
        if not changing or min(changing) < rank - 2:
            return False
        longest = max(max(resizing.axes[index].size, resizing.axes[index].resized) for index in changing)
        channels = resizing.before[1] if rank > 3 else 1
        return (
            resizing.interpolation in self.interpolations
            and (not self.rules or resizing.coordinates in self.rules)
            and longest <= self.largest
            and (self.largest_plane is None or channels * longest <= self.largest_plane)
            and resizing.is_definite
            and not (self.spare_whole and all(_grows_by_whole(resizing.axes[index]) for index in changing))
        )


def _grows_by_whole(axis: Axis) -> bool:
    corners = axis.coordinates == "align_corners" and axis.size > 1
    return (axis.resized - corners) % (axis.size - corners) == 0


def _rewrite(parts: Replacement, value: ir.Value, resizing: Resizing) -> None:
    shape, width = list(resizing.before), len(resizing.axes) - 1
    for index in _order(resizing):
        weights = resizing.matrix(index).astype(np.float32)
        shape[index] = resizing.after[index]
        if index == width:
            inputs, what = [value, parts.constant(weights.T, "columns")], "along_width"
        else:
            inputs, what = [parts.constant(weights, "rows"), value], "along_height"
        value = parts.make("MatMul", inputs, what, shape=ir.Shape(shape))
    parts.finish(value)


def _order(resizing: Resizing) -> tuple[int, ...]:
    """The axes that change, in the order that costs fewer operations: ``h w w' + w' h h'`` or ``w h h' + h' w w'``."""
    if len(resizing.changing) < 2:
        return resizing.changing
    (rows, columns), (height, width) = resizing.axes[-2:], resizing.changing
    width_first = rows.size * columns.resized * (columns.size + rows.resized)
    height_first = columns.size * rows.resized * (rows.size + columns.resized)
    return (width, height) if width_first <= height_first else (height, width)
