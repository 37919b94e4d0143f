"""Passes that the ONNX project keeps, under our contract."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common


@dataclass(frozen=True, slots=True)
class Inlining:
    """Calls of model-local functions are replaced by their bodies."""

    name: str = "function-inlining"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        return bool(model.functions) and bool(common.InlinePass()(model).modified)


@dataclass(frozen=True, slots=True)
class ConstantLifting:
    """``Constant`` nodes become initializers, and initializers are no inputs."""

    name: str = "constant-lifting"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        freed = common.RemoveInitializersFromInputsPass()(model).modified
        lifted = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).modified
        return bool(freed or lifted)


@dataclass(frozen=True, slots=True)
class SubexpressionSharing:
    """What is computed twice from the same inputs is computed once; equal small constants are one constant."""

    name: str = "subexpression-sharing"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        constants = common.DeduplicateInitializersPass()(model).modified
        nodes = common.CommonSubexpressionEliminationPass()(model).modified
        return bool(constants or nodes)


@dataclass(frozen=True, slots=True)
class DeadCodeElimination:
    """Nodes, constants, functions and operator sets that the outputs do not depend on are removed."""

    name: str = "dead-code-elimination"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        before = (len(model.graph), len(model.graph.initializers), len(model.opset_imports))
        common.RemoveUnusedNodesPass()(model)
        common.RemoveUnusedOpsetsPass()(model)
        return before != (len(model.graph), len(model.graph.initializers), len(model.opset_imports))


@dataclass(frozen=True, slots=True)
class Naming:
    """Every node and value has a name of its own; those that have one keep it."""

    name: str = "naming"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        named = False
        for node in model.graph.all_nodes():
            if not node.name:  # NameFixPass would say node_17: the value's name says more and survives other edits
                node.name = node.outputs[0].name or node.op_type
                named = True
        return bool(common.NameFixPass()(model).modified) or named
