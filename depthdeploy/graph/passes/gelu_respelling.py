"""GELU in the one order that vendors' parsers look for."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.checks.patterns import not_in_gelu
from depthdeploy.graph.checks.subject import Subject
from depthdeploy.graph.edit import main_nodes
from depthdeploy.graph.passes.gelu_spellings import write, written_out
from depthdeploy.graph.replacement import Replacement, opset


@dataclass(frozen=True, slots=True)
class GeluRespelling:
    """GELU by ``Erf``, however it is ordered, becomes ``x (1 + erf(x / sqrt(2))) 0.5``.

    Compilers know GELU by this order of PyTorch's older exporter. RKNN-Toolkit2 2.3.2 makes one operation of it on the
    NPU; ``(x 0.5) (1 + erf)``, which canonical graphs have, it leaves as it is, with ``Erf`` on the processor.
    """

    name: str = "gelu-respelling"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        version, changed = opset(model), False
        plain = {node for node in main_nodes(model, "Erf") if not_in_gelu(Subject(node, version), {}) is None}
        for found in written_out(model):
            if found.form == "none" and not _ends(found.end, plain):
                parts = Replacement(model, found.end)
                parts.finish(write(parts, found.x, found.form))
                changed = True
        return changed


def _ends(end: ir.Node, plain: set[ir.Node]) -> bool:
    """Whether a GELU's last node is the third behind an ``Erf`` that is in order already."""
    reached = {end}
    for _ in range(3):
        reached = {maker for node in reached for value in node.inputs if value is not None
                   if (maker := value.producer()) is not None}  # fmt: skip
        if reached & plain:
            return True
    return False
