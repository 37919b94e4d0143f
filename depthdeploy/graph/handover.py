"""A graph in the operator set that a target's compiler reads."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.core.support import Rejection
from depthdeploy.graph.attributes import opset_of


@dataclass(frozen=True, slots=True)
class Lowered:
    """A graph for a compiler.

    Attributes:
        graph: the graph itself where its operator set is read, otherwise a copy in an older one.
        unsayable: what the older set cannot say; the graph is of no use then.
    """

    graph: ir.Model
    unsayable: tuple[Rejection, ...] = ()


def lowered(graph: ir.Model, newest: int) -> Lowered:
    """A graph in an operator set not newer than ``newest``; the same function, and the given graph untouched."""
    if opset_of(graph) <= newest:
        return Lowered(graph)
    from depthdeploy.graph.opset_lowering import lower_opset

    copy = graph.clone()
    return Lowered(copy, lower_opset(copy, newest))
