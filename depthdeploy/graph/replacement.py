"""New nodes in the place of one: what decompositions and fusions are written in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import add_initializer


@dataclass(slots=True)
class Replacement:
    """Nodes that stand in for ``node``: they go right before it and are named after it.

    Attributes:
        model: the graph that is edited.
        node: what goes away when :meth:`finish` is called; until then nothing that stood there is changed.
    """

    model: ir.Model
    node: ir.Node
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Names that are taken are read once: each new one is added."""
        graph = self.model.graph
        self._taken |= set(graph.initializers) | {value.name or "" for value in graph.inputs}
        for node in graph.all_nodes():
            self._taken |= {node.name or "", *(value.name or "" for value in node.outputs)}

    def make(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        what: str,
        *,
        shape: ir.Shape | None = None,
        dtype: ir.DataType | None = None,
        attributes: Iterable[ir.Attr] = (),
    ) -> ir.Value:
        """The output of a new node; its shape is by default what broadcasting makes of the inputs' shapes."""
        return self.make_several(operator, inputs, [what], shape=shape, dtype=dtype, attributes=attributes)[0]

    def make_several(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        names: Sequence[str],
        *,
        shape: ir.Shape | None = None,
        dtype: ir.DataType | None = None,
        attributes: Iterable[ir.Attr] = (),
    ) -> list[ir.Value]:
        """The outputs of a new node, all of one shape."""
        present = [value for value in inputs if value is not None]
        kind = ir.TensorType(dtype or present[0].dtype or ir.DataType.FLOAT)
        size = broadcast(present) if shape is None else shape
        values = [ir.Value(name=self._name(what), shape=size, type=kind) for what in names]
        made = ir.Node("", operator, inputs, attributes, outputs=values, name=values[0].name)
        if self.node.graph is not None:
            self.node.graph.insert_before(self.node, made)
        return values

    def constant(self, array: NDArray[np.generic], what: str) -> ir.Value:
        """A new constant."""
        name = self._name(what)
        return add_initializer(self.model, name, array)

    def number(self, value: float, what: str, *, like: ir.Value) -> ir.Value:
        """A scalar of the element type of ``like``."""
        kind = (like.dtype or ir.DataType.FLOAT).numpy()
        return self.constant(np.array(value, dtype=np.float64).astype(kind), what)

    def finish(self, value: ir.Value, index: int = 0) -> None:
        """``value`` takes the place and name of an output; the node goes, and what fed it alone, with the last of them.

        Every output that is read must be taken over; the node stays until the last one is.
        """
        old = self.node.outputs[index]
        name, old.name = old.name, None
        value.name = name
        if old.shape is not None:
            value.shape = old.shape
        old.replace_all_uses_with(value, replace_graph_outputs=True)
        if not any(output.uses() or output.is_graph_output() for output in self.node.outputs):
            prune(self.model, self.node)

    def _name(self, what: str) -> str:
        base = f"{self.node.name or self.node.outputs[0].name}_{what}"
        unique, number = base, 0
        while unique in self._taken:
            number += 1
            unique = f"{base}_{number}"
        self._taken.add(unique)
        return unique


def broadcast(values: Sequence[ir.Value]) -> ir.Shape | None:
    """The shape of an elementwise result; ``None`` when a rank is unknown. Sizes that are not known stay so."""
    shapes = [tuple(value.shape) for value in values if value.shape is not None]
    if len(shapes) < len(values):
        return None
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return ir.Shape([next((size for size in column if size != 1), 1) for column in zip(*padded, strict=True)])


def reduced(value: ir.Value, axes: Sequence[int]) -> ir.Shape | None:
    """The shape after a reduction over ``axes``, none negative, that keeps dimensions."""
    if value.shape is None:
        return None
    return ir.Shape([1 if axis in axes else size for axis, size in enumerate(value.shape)])


def prune(model: ir.Model, node: ir.Node) -> None:
    """Take out a node that nobody reads, and what only it read."""
    pending = [node]
    while pending:
        dead = pending.pop()
        if dead.graph is None or any(value.uses() or value.is_graph_output() for value in dead.outputs):
            continue
        sources = [value for value in dead.inputs if value is not None]
        dead.graph.remove(dead, safe=True)
        for value in sources:
            maker = value.producer()
            if maker is not None:
                pending.append(maker)
            elif value.is_initializer() and not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                model.graph.initializers.pop(value.name or "", None)


def opset(model: ir.Model) -> int:
    """The version of the default domain; 1 where the graph does not say."""
    return model.opset_imports.get("", 1)
