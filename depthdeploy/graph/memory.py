"""How much memory an inference needs: constants, and the activations that are alive at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import static_shape

#: Nodes whose result is their input under another name or shape: no runtime copies it.
_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class LiveSet:
    """The largest set of values that are alive at once.

    Attributes:
        values: how many, inputs and results of the node among them.
        node: where.
    """

    values: int
    node: str


def constants_of(model: ir.Model) -> int:
    """Values in all constants of the main graph."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.size for tensor in tensors if tensor is not None)


def largest_live_set(model: ir.Model) -> LiveSet | None:
    """The most activation values that the graph's own order keeps alive; ``None`` where a shape is not static.

    A value lives from the node that makes it to its last reader; views share the memory of what they show.
    """
    nodes = list(model.graph)
    owners = dict(_owners(model))
    last = {owners[value]: at for at, node in enumerate(nodes) for value in node.inputs if value in owners}
    alive = {value: _size(value) for value in model.graph.inputs}
    most = LiveSet(0, "")
    for at, node in enumerate(nodes):
        for value in node.outputs:
            if owners[value] is value:
                alive[value] = _size(value)
        if any(size is None for size in alive.values()):
            return None
        held = sum(size or 0 for size in alive.values())
        if held > most.values:
            most = LiveSet(held, node.name or node.op_type)
        kept = {owners.get(value, value) for value in model.graph.outputs}
        alive = {value: size for value, size in alive.items() if last.get(value, -1) > at or value in kept}
    return most


def _owners(model: ir.Model) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Every activation, and the one whose memory it is."""
    known: dict[ir.Value, ir.Value] = {value: value for value in model.graph.inputs}
    yield from known.items()
    for node in model.graph:
        source = node.inputs[0] if node.inputs and node.op_type in _VIEWS else None
        for value in node.outputs:
            known[value] = known.get(source, value) if source is not None else value
            yield value, known[value]


def _size(value: ir.Value) -> int | None:
    shape = static_shape(value)
    return None if shape is None else math.prod(shape)
