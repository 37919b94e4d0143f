"""A nearest ``Resize`` by whole factors in the form that no parser misreads."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.resize import Resizing
from depthdeploy.graph.resize_node import Form, resizes, write


@dataclass(frozen=True, slots=True)
class ResizeIntegerFactor:
    """Pixels that are repeated, or of which every n-th is kept, are said as ``asymmetric`` coordinates rounded down.

    Element ``i`` is then a copy of element ``i // n`` or ``i * n``: compilers have a fast path for it, and it is what a
    parser without rules computes. ``half_pixel`` rounded to the nearest chooses the same elements when the map grows;
    the indices of every axis are compared before a rule is replaced.

    Attributes:
        form: what is given, the sizes of the result or the scales; see ``ResizeExplicit``.
    """

    form: Form = "sizes"
    name: str = "resize-integer-factor"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node, resizing in resizes(model):
            plain = resizing.with_rule("asymmetric", "floor")
            if resizing.interpolation == "nearest" and _is_whole(resizing) and resizing.same(plain):
                changed |= write(model, node, plain, self.form)
        return changed


def _is_whole(resizing: Resizing) -> bool:
    sides = [sorted((axis.size, axis.resized)) for axis in resizing.axes]
    return bool(resizing.changing) and all(larger % smaller == 0 for smaller, larger in sides)
