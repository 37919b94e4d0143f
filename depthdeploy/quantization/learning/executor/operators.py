"""All operators, by their name in ONNX's own domain."""

from __future__ import annotations

import onnx_ir as ir

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning.executor import (
    operators_activation,
    operators_constant,
    operators_elementwise,
    operators_linear,
    operators_normalization,
    operators_pad,
    operators_pool,
    operators_quantize,
    operators_reduce,
    operators_resize,
    operators_select,
    operators_shape,
)
from depthdeploy.quantization.learning.executor.registry import Registry

OPERATORS: Registry = {
    **operators_activation.OPERATORS,
    **operators_constant.OPERATORS,
    **operators_elementwise.OPERATORS,
    **operators_linear.OPERATORS,
    **operators_normalization.OPERATORS,
    **operators_pad.OPERATORS,
    **operators_pool.OPERATORS,
    **operators_quantize.OPERATORS,
    **operators_reduce.OPERATORS,
    **operators_resize.OPERATORS,
    **operators_select.OPERATORS,
    **operators_shape.OPERATORS,
}

#: Operators that have more outputs in ONNX than are computed here: how many there are.
_OUTPUTS = {"BatchNormalization": 1, "Dropout": 2, "LayerNormalization": 3, "MaxPool": 1, "TopK": 2}


def check_operators(graph: ir.Graph) -> None:
    """See that every node of a graph can be computed.

    Raises:
        QuantizationError: some cannot; the message names each operator with its nodes.
    """
    lacking: dict[str, list[str]] = {}
    for node in graph:
        reason = _lacking(node)
        if reason:
            lacking.setdefault(reason, []).append(topology.label(node))
    if lacking:
        found = "; ".join(f"{name} ({', '.join(_some(nodes))})" for name, nodes in sorted(lacking.items()))
        raise QuantizationError(
            f"Learning has no gradients for: {found}.", "Choose a recipe without learning, which takes every operator."
        )


def _some(nodes: list[str]) -> list[str]:
    return nodes if len(nodes) <= 8 else [*nodes[:8], f"and {len(nodes) - 8} more"]


def _lacking(node: ir.Node) -> str:
    """What of a node cannot be computed; empty when all can."""
    name = topology.operator(node)
    if name == "Constant":
        return ""
    if name not in OPERATORS:
        return name
    given = sum(bool(value.name) and (index == 0 or _read(value)) for index, value in enumerate(node.outputs))
    limit = _OUTPUTS.get(name, len(node.outputs))
    return f"{name} with {given} outputs" if given > limit else ""


def _read(value: ir.Value) -> bool:
    return value.is_graph_output() or bool(tuple(value.uses()))
