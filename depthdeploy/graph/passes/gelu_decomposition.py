"""GELU in single operators, for parsers that do not know it by name."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes
from depthdeploy.graph.passes.gelu_spellings import Form, write
from depthdeploy.graph.replacement import Replacement


@dataclass(frozen=True, slots=True)
class GeluDecomposition:
    """``Gelu`` becomes ``Div, Erf, Add, Mul, Mul``; its approximation ``Mul, Mul, Add, Mul, Tanh, Add, Mul, Mul``."""

    name: str = "gelu-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Gelu"):
            x = node.inputs[0]
            if x is not None and x.dtype is not None:
                parts = Replacement(model, node)
                parts.finish(write(parts, x, form_of(node)))
                changed = True
        return changed


def form_of(node: ir.Node) -> Form:
    """Which of its two forms a ``Gelu`` asks for."""
    return "tanh" if node.attributes.get_string("approximate", "none") == "tanh" else "none"
