"""GELU in single operators becomes the operator that has its name."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.passes.gelu_spellings import written_out
from depthdeploy.graph.replacement import Replacement, opset


@dataclass(frozen=True, slots=True)
class GeluFusion:
    """GELU by ``Erf``, ``Tanh`` or ``Sigmoid`` becomes ``Gelu``; a graph below opset 20, which has none, is left."""

    name: str = "gelu-fusion"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for found in written_out(model) if opset(model) >= 20 else ():
            parts = Replacement(model, found.end)
            attribute = ir.AttrString("approximate", found.form)
            parts.finish(parts.make("Gelu", [found.x], "fused", shape=found.x.shape, attributes=[attribute]))
            changed = True
        return changed
