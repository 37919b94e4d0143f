"""Which tensors of a plan share one grid: what nodes that only move values join."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from depthdeploy.core.quant import QuantPlan
from depthdeploy.quantization import topology
from depthdeploy.quantization.placement import source

#: Moving nodes that make no new values: what comes out lies on the grid of what goes in.
_EXACT = topology.PRESERVING - {"Resize"}


def shared_grids(graph: ir.Graph, plan: QuantPlan) -> Mapping[str, str]:
    """Every tensor that has a grid -> the tensor that stands for all of one grid.

    Tensors share one if a node moves values from one to the other and the plan gave both the same: with different
    grids, integer kernels would have to compute where they now only move.
    """
    grids = {line.tensor: line.grid for line in plan.activations}
    chosen = {name: name for name in grids}

    def root(name: str) -> str:
        while chosen[name] != name:
            name = chosen[name]
        return name

    for node in graph:
        if not topology.preserves(node):
            continue
        tensors = [*map(source, topology.activation_inputs(node)), *node.outputs]
        names = [value.name for value in tensors if value.name in grids]
        for one in names:
            for other in names:
                if one and other and grids[one] == grids[other] and root(one) != root(other):
                    chosen[root(other)] = root(one)
    return {name: root(name) for name in grids}


def already_on_grid(graph: ir.Graph, roots: Mapping[str, str]) -> frozenset[str]:
    """The tensors whose values lie on their grid before they are rounded: moved, not computed, from the same grid."""
    found = set[str]()
    for node in graph:
        if node.op_type not in _EXACT or not topology.preserves(node):
            continue
        origins = [roots.get(value.name or "") for value in topology.activation_inputs(node)]
        for name in (value.name or "" for value in node.outputs):
            if name in roots and origins and all(origin == roots[name] for origin in origins):
                found.add(name)
    return frozenset(found)
