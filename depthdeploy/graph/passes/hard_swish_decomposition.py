"""HardSwish for parsers that came before it (opset 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes
from depthdeploy.graph.opset.activations import hard_swish, named_hard_swish
from depthdeploy.graph.passes.activation_decomposition import replace_by_definition


@dataclass(frozen=True, slots=True)
class HardSwishDecomposition:
    """``HardSwish`` becomes ``x * Clip(x/6 + 1/2, 0, 1)``.

    Attributes:
        gate: in arithmetic and ``Clip``, or by ``HardSigmoid``.
    """

    gate: Literal["clip", "hard-sigmoid"] = "clip"
    name: str = "hard-swish-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        definition = hard_swish if self.gate == "clip" else named_hard_swish
        changed = False
        for node in main_nodes(model, "HardSwish"):
            changed |= replace_by_definition(model, node, definition)
        return changed
