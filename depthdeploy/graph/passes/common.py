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
        if freed or lifted:  # before IR version 4 every initializer had to be an input
            model.ir_version = max(model.ir_version, 4)
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
        before = _inventory(model)
        common.RemoveUnusedNodesPass()(model)
        common.RemoveUnusedOpsetsPass()(model)
        return before != _inventory(model)


def _inventory(model: ir.Model) -> tuple[object, ...]:
    """What the removal of unused things can change: also trailing inputs that are left out, and unread outputs."""
    nodes = tuple(
        (len(node.inputs), tuple(value.name for value in node.outputs), "training_mode" in node.attributes)
        for node in model.graph.all_nodes()
    )
    return nodes, tuple(model.graph.initializers), tuple(model.opset_imports)


@dataclass(frozen=True, slots=True)
class Naming:
    """Every node and value has a name of its own; those that have one keep it, and outputs left out stay so."""

    name: str = "naming"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        before = _names(model)
        absent = [value for node in model.graph.all_nodes() for value in node.outputs if not value.name]
        absent = [value for value in absent if not value.uses() and not value.is_graph_output()]
        for node in model.graph.all_nodes():
            if not node.name:  # NameFixPass would say node_17: the value's name says more and survives other edits
                node.name = next((value.name for value in node.outputs if value.name), node.op_type)
        common.NameFixPass()(model)
        for value in absent:  # an output without a name is one that the node does not give
            value.name = ""
        return before != _names(model)


def _names(model: ir.Model) -> tuple[object, ...]:
    values = [value.name for value in (*model.graph.inputs, *model.graph.initializers.values())]
    nodes = [(node.name, *(value.name for value in node.outputs)) for node in model.graph.all_nodes()]
    return values, nodes
