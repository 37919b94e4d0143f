"""How large a network is: parameters, multiply-accumulate operations, nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.graph_file import read_graph
from depthdeploy.operations import macs_of

#: Inputs that set how an operator works and are no weights, by operator.
_SETTINGS: Final[Mapping[str, frozenset[int]]] = {
    "Clip": frozenset({1, 2}),
    "DequantizeLinear": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "Pad": frozenset({1, 2, 3}),
    "QuantizeLinear": frozenset({1, 2}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
}


@dataclass(frozen=True, slots=True)
class GraphCount:
    """The size of a graph.

    Attributes:
        parameters: values in weights and biases. A weight is a constant with at least one dimension that is floating
            point, or an integer that a ``DequantizeLinear`` reads; clamp bounds, resize factors, scales and zero points
            are none. Batch normalisation that has been folded no longer counts.
        macs: multiply-accumulate operations of one inference, see :func:`~depthdeploy.operations.macs_of`.
        nodes: operator -> how many.
    """

    parameters: int
    macs: int
    nodes: Mapping[str, int]


def count(model: OnnxModel | ir.Model) -> GraphCount:
    """The size of a graph with static shapes.

    Raises:
        ModelError: the file cannot be read, or a counted operator has no static shape.
    """
    graph = model if isinstance(model, ir.Model) else read_graph(model.path)
    histogram = Counter(node.op_type for node in graph.graph.all_nodes())
    return GraphCount(
        parameters=parameters_of(graph),
        macs=sum(macs_of(node) for node in graph.graph.all_nodes()),
        nodes=dict(sorted(histogram.items(), key=lambda item: (-item[1], item[0]))),
    )


def parameters_of(model: ir.Model) -> int:
    """Values in weights and biases; a tensor that several nodes read counts once."""
    return sum(value.const_value.size for value in _constants(model) if value.const_value and _is_weight(value))


def _constants(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.initializers.values() if value.const_value is not None]


def _is_weight(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or len(tensor.shape) == 0:
        return False
    readers = [(node.op_type, index) for node, index in value.uses()]
    if not tensor.dtype.is_floating_point():
        return ("DequantizeLinear", 0) in readers
    return any(index not in _SETTINGS.get(operator, frozenset()) for operator, index in readers)
