"""Axes of size 1 come and go by ``Reshape``, the one form that every parser has."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.replacement import opset


@dataclass(frozen=True, slots=True)
class SqueezeAsReshape:
    """``Squeeze``, ``Unsqueeze`` and ``Flatten`` become ``Reshape`` to a constant shape.

    Attributes:
        operators: which of them.
    """

    operators: tuple[str, ...] = ("Squeeze", "Unsqueeze", "Flatten")
    name: str = "squeeze-as-reshape"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, *self.operators) if opset(model) >= 13 and self.operators else ():
            x, before, after = node.inputs[0], static_shape(node.inputs[0]), static_shape(node.outputs[0])
            if x is None or before is None or after is None or 0 in after:
                continue  # a 0 in a shape means the size of the input
            parts = Emission(model, node)
            parts.finish(parts.emit("Reshape", x, parts.whole(after, "shape"), what="reshaped"))
            changed = True
        return changed
