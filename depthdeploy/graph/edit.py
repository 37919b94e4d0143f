"""The few verbs that passes are written in: read a constant, take a node out, put a constant in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


def main_nodes(model: ir.Model, *operators: str) -> Iterator[ir.Node]:
    """The nodes of the main graph and the default domain, optionally of some operators; safe against removal."""
    wanted = frozenset(operators)
    for node in tuple(model.graph):
        if node.graph is not None and node.domain == "" and (not wanted or node.op_type in wanted):
            yield node


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array of an initializer or ``Constant`` node; ``None`` for an absent input and for what can change."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The one element of a constant; ``None`` when it has more, or is not constant."""
    array = constant(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape, when every dimension is known."""
    if value is None or value.shape is None:
        return None
    dimensions = tuple(value.shape)
    known = tuple(size for size in dimensions if isinstance(size, int))
    return known if len(known) == len(dimensions) else None


def given(node: ir.Node, index: int) -> ir.Value | None:
    """An input that may be left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def only_consumer(value: ir.Value) -> ir.Node | None:
    """The one node that reads a value, when nobody else does and the graph does not give it out."""
    uses = tuple(value.uses())
    return uses[0][0] if len(uses) == 1 and not value.is_graph_output() else None


def producer(value: ir.Value | None, *operators: str) -> ir.Node | None:
    """The node that makes a value, when it is of the default domain and of one of the operators."""
    node = None if value is None else value.producer()
    return node if node is not None and node.domain == "" and node.op_type in operators else None


def bypass(node: ir.Node, source: ir.Value | None = None) -> bool:
    """Take a node out: who read its first output now reads ``source``, by default the node's first input.

    A graph's output keeps its name, so the value that takes its place is renamed; where that cannot be (an input, a
    constant, or an output already) the node stays.

    Returns:
        Whether the node was taken out.
    """
    result, graph = node.outputs[0], node.graph
    source = node.inputs[0] if source is None else source
    if source is None or graph is None or any(extra.uses() or extra.is_graph_output() for extra in node.outputs[1:]):
        return False
    if result.is_graph_output():
        if source.producer() is None or source.is_graph_output() or source.is_initializer():
            return False
        name, result.name = result.name, None
        source.name = name
    if source.shape is None or (static_shape(source) is None and static_shape(result) is not None):
        source.shape = result.shape
    if source.type is None:
        source.type = result.type
    result.replace_all_uses_with(source, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return True


def add_initializer(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    """A new constant; a number is appended to its name when the name is taken."""
    taken = set(model.graph.initializers) | {value.name for value in model.graph.inputs}
    taken |= {value.name for node in model.graph.all_nodes() for value in node.outputs}
    unique, number = name, 0
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=unique)
    value = ir.Value(name=unique, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    model.graph.register_initializer(value)
    return value


def set_constant(model: ir.Model, node: ir.Node, index: int, array: NDArray[np.generic], suffix: str) -> None:
    """Give a node a constant input: the old one is changed where nobody else reads it, otherwise a new one is made."""
    old = given(node, index)
    if old is not None and old.is_initializer() and only_consumer(old) is node:
        old.const_value = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=old.name)
        old.shape = ir.Shape(array.shape)
        return
    base = old.name if old is not None and old.name else f"{node.name or node.outputs[0].name}.{suffix}"
    value = add_initializer(model, base, array)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
