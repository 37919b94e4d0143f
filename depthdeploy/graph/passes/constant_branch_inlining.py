"""An ``If`` whose condition is a constant is the branch that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.branches import inline_branch
from depthdeploy.graph.edit import main_nodes, scalar


@dataclass(frozen=True, slots=True)
class ConstantBranchInlining:
    """``If`` by a constant becomes its branch: exporters leave one for ``squeeze`` of a side that may be one."""

    name: str = "constant-branch-inlining"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "If"):
            condition = scalar(node.inputs[0])
            if condition is not None:
                inline_branch(model, node, condition=bool(condition))
                changed = True
        return changed
