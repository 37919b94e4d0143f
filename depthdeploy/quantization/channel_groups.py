"""Which activation tensors must be scaled together, channel by channel, for a graph to keep its function.

A positive factor on a channel passes through every operator that is positively homogeneous and keeps channels apart:
``Relu``, pooling, resizing. A residual addition ties its three tensors together. The factor is made by the layers that
write the tensors (their output channels) and undone by those that read them (their input channels).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from depthdeploy.quantization import topology

#: Operators through which a positive factor per channel passes unchanged.
_HOMOGENEOUS = frozenset(
    {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity", "LeakyRelu", "MaxPool", "Pad", "Relu", "Resize"}
)

_LAYERS = frozenset({"Conv", "ConvTranspose"})


@dataclass(frozen=True, slots=True, eq=False)
class ChannelGroup:
    """Tensors that share one factor per channel.

    Attributes:
        tensors: in the graph's order.
        writers: the layers that compute one of them.
        readers: the layers that read one of them.
        ceiling: the lowest upper bound of a ``Clip`` from 0 among them; infinite without one.
        clips: those ``Clip`` nodes.
    """

    tensors: tuple[ir.Value, ...]
    writers: tuple[ir.Node, ...]
    readers: tuple[ir.Node, ...]
    ceiling: float
    clips: tuple[ir.Node, ...]

    @property
    def channels(self) -> int:
        """How many channels every tensor has."""
        shape = self.tensors[0].shape
        return int(shape[1]) if shape is not None and isinstance(shape[1], int) else 0


@dataclass(slots=True)
class _Union:
    """Disjoint sets of tensors; those of a bound set cannot be scaled."""

    parents: dict[ir.Value, ir.Value] = field(default_factory=dict)
    bound: set[ir.Value] = field(default_factory=set)

    def find(self, value: ir.Value) -> ir.Value:
        self.parents.setdefault(value, value)
        while self.parents[value] is not value:
            self.parents[value] = self.parents[self.parents[value]]
            value = self.parents[value]
        return value

    def join(self, values: Iterable[ir.Value]) -> None:
        first, *others = values
        for other in others:
            self.parents[self.find(other)] = self.find(first)

    def bind(self, values: Iterable[ir.Value]) -> None:
        for value in values:
            self.find(value)
            self.bound.add(value)


def channel_groups(graph: ir.Graph) -> tuple[ChannelGroup, ...]:
    """The groups of a graph whose channels may be scaled, in the graph's order.

    Left out are groups that hold the graph's input or output, that an operator outside the known ones touches, and
    those of layers whose constants are shared with another node.
    """
    union = _Union()
    union.bind(value for value in (*graph.inputs, *graph.outputs) if topology.is_activation(value))
    for node in topology.computing(graph):
        _visit(node, union)
    members: dict[ir.Value, list[ir.Value]] = {}
    for value in (value for node in graph for value in node.outputs):
        if value in union.parents:
            members.setdefault(union.find(value), []).append(value)
    bound = {union.find(value) for value in union.bound}
    found = (_group(tensors) for root, tensors in members.items() if root not in bound)
    return tuple(group for group in found if group.writers and group.readers)


def _visit(node: ir.Node, union: _Union) -> None:
    entering = topology.activation_inputs(node)
    touched = (*entering, *node.outputs)
    if any(value.shape is None or len(value.shape) != 4 for value in touched):
        union.bind(touched)
    elif node.op_type in _LAYERS:
        if len(entering) != 1 or not _own_constants(node):
            union.bind(touched)
        for value in touched:
            union.find(value)
    elif _passes(node) or (node.op_type == "Add" and _same_shapes(node, entering)):
        union.join(touched)
    else:
        union.bind(touched)


def _passes(node: ir.Node) -> bool:
    if node.op_type == "Clip":
        return topology.bounds(node)[0] == 0
    return node.op_type in _HOMOGENEOUS and (node.op_type not in {"Pad", "Resize"} or topology.preserves(node))


def _same_shapes(node: ir.Node, entering: tuple[ir.Value, ...]) -> bool:
    return all(topology.is_activation(value) for value in node.inputs) and len({str(v.shape) for v in entering}) == 1


def _own_constants(node: ir.Node) -> bool:
    """Whether a layer's weight and bias are initializers that it alone reads."""
    constants = [value for value in node.inputs[1:] if value is not None]
    return all(value.is_initializer() and len(tuple(value.uses())) == 1 for value in constants) and bool(constants)


def _group(tensors: list[ir.Value]) -> ChannelGroup:
    writers = [node for value in tensors if (node := value.producer()) is not None and node.op_type in _LAYERS]
    readers = [use.node for value in tensors for use in value.uses() if use.node.op_type in _LAYERS]
    clips = [node for value in tensors if (node := value.producer()) is not None and node.op_type == "Clip"]
    ceiling = min((topology.bounds(node)[1] for node in clips), default=math.inf)
    return ChannelGroup(tuple(tensors), tuple(writers), tuple(dict.fromkeys(readers)), ceiling, tuple(clips))
