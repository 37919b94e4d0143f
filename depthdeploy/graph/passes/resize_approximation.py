"""Bilinear resizes by another rule of coordinates, for chips that have a fast path for one rule only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from depthdeploy.graph.resize_node import Form, resizes, write


@dataclass(frozen=True, slots=True)
class ResizeApproximation:
    """Every linear ``Resize`` gets one rule of coordinates and keeps its sizes: **another function**.

    ``align_corners`` from n to 2n has the factor (2n-1)/(n-1), which is no whole number: compilers fall back to slow
    kernels or refuse it. By ``asymmetric`` or ``half_pixel`` the factor is two, and every pixel lies up to half a pixel
    of the input elsewhere. Resizes that crop stay.

    Attributes:
        to: the rule that they get.
        form: what is given, the sizes of the result or the scales; see ``ResizeExplicit``.
    """

    to: Literal["asymmetric", "half_pixel"]
    form: Form = "sizes"
    name: str = "resize-approximation"

    @property
    def option(self) -> str:
        """What follows ``--approximate``."""
        return f"resize={self.to}"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node, resizing in resizes(model):
            other = resizing.coordinates not in (self.to, "tf_crop_and_resize")
            if resizing.interpolation == "linear" and resizing.changing and other:
                changed |= write(model, node, resizing.with_rule(self.to).with_sizes(resizing.after), self.form)
        return changed
