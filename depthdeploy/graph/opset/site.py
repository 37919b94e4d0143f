"""One node where its operator's definition changed, and the questions that an older form asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import constant, given, static_shape
from depthdeploy.graph.emission import Emission


class Unsayable(Exception):
    """An older operator set has no words for a node. Caught where the set is lowered, and listed with all others.

    Args:
        rule: what the older set asks for.
        found: what stands in the graph.
        remedy: what the user can do.
    """

    def __init__(self, rule: str, found: str, remedy: str) -> None:
        super().__init__(f"{rule}, found {found}")
        self.rule, self.found, self.remedy = rule, found, remedy


_STATIC = "Give the graph static shapes: import it with a size."
_FOLD = "Make it a constant: canonicalize the graph first, or export it with static shapes."


@dataclass(frozen=True, slots=True)
class Site:
    """A node that must be said in the operator set ``opset``, the last one before its operator changed."""

    model: ir.Model
    node: ir.Node
    opset: int

    def refuse(self, rule: str, found: str, remedy: str) -> Unsayable:
        """What is raised where the older set cannot say it."""
        return Unsayable(f"opset {self.opset} {rule}", found, remedy)

    def emission(self) -> Emission:
        """New nodes of the older set in the place of this one."""
        return Emission(self.model, self.node, self.opset)

    def value(self, index: int = 0) -> ir.Value:
        """An input that the operator cannot do without."""
        value = given(self.node, index)
        if value is None:
            raise self.refuse(f"needs input {index}", "none", "Repair the graph: onnx.checker says what is wrong.")
        return value

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """The static shape of a value."""
        shape = static_shape(value)
        if shape is None:
            raise self.refuse("needs a static shape here", f"{value.shape}", _STATIC)
        return shape

    def rank(self, value: ir.Value) -> int:
        """How many axes a value has."""
        if value.shape is None:
            raise self.refuse("needs to know how many axes there are", f"none known of {value.name}", _STATIC)
        return len(value.shape)

    def dtype(self, value: ir.Value) -> ir.DataType:
        """The element type of a value."""
        if value.dtype is None:
            raise self.refuse("needs to know the element type", f"none known of {value.name}", _STATIC)
        return value.dtype

    def constant(self, index: int, what: str) -> NDArray[np.generic] | None:
        """An input that the older form writes as an attribute; ``None`` where it is left out."""
        value = given(self.node, index)
        if value is None:
            return None
        array = constant(value)
        if array is None:
            raise self.refuse(f"takes {what} as numbers, not as a tensor", f"the tensor {value.name}", _FOLD)
        return array

    def wholes(self, index: int, what: str) -> list[int] | None:
        """A constant input of whole numbers."""
        array = self.constant(index, what)
        return None if array is None else [int(number) for number in array.reshape(-1)]

    def whole(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        found = self.node.attributes.get_int(name, default)
        return default if found is None else found

    def real(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        found = self.node.attributes.get_float(name, default)
        return default if found is None else found

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        return self.node.attributes.get_string(name, default) or default

    def put(self, name: str, value: float | str | Sequence[int] | Sequence[float]) -> None:
        """Write an attribute."""
        for attribute in ir.convenience.convert_attributes({name: value}):
            self.node.attributes.add(attribute)

    def drop(self, *names: str) -> None:
        """Take attributes away."""
        for name in names:
            self.node.attributes.pop(name, None)

    def keep_inputs(self, count: int) -> None:
        """Take the inputs after the first ``count`` away."""
        for index in range(count, len(self.node.inputs)):
            self.node.replace_input_with(index, None)
        self.node.resize_inputs(min(count, len(self.node.inputs)))


#: Says a node in the older form, in place; raises :class:`Unsayable` where that has no words for it.
Rewrite = Callable[[Site], None]
