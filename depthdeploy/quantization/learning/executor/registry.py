"""What an operator is: a pure function of attributes and tensors, and how it goes over several photographs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from torch import Tensor

#: What an operator gives: one tensor, or one for each of its outputs.
Result = Tensor | tuple[Tensor, ...]

#: A function ``(attributes, *tensors) -> Result``; an input that is left out is ``None``.
Compute = Callable[..., Result]

#: The inputs of one run of a node, in the order of its slots.
Inputs = Sequence[Tensor | None]


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of one node, with what else its meaning depends on.

    Attributes:
        values: every attribute that is given, as Python's or onnx-ir's value.
        opset: the version of the default domain.
        outputs: how many outputs the node gives.
        node: the node's name, for errors.
    """

    values: Mapping[str, object]
    opset: int = 23
    outputs: int = 1
    node: str = ""

    @classmethod
    def of(cls, node: ir.Node, opset: int) -> Attributes:
        """Those of a node."""
        values = {name: attribute.value for name, attribute in node.attributes.items()}
        given = [index for index, value in enumerate(node.outputs, 1) if value.name]
        return cls(values, opset, max(given, default=1), node.name or node.outputs[0].name or "")

    def has(self, name: str) -> bool:
        """Whether an attribute is given."""
        return name in self.values

    def integer(self, name: str, default: int) -> int:
        """An integer."""
        value = self.values.get(name, default)
        return value if isinstance(value, int) else default

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self.values.get(name, default)
        return float(value) if isinstance(value, (int, float)) else default

    def text(self, name: str, default: str) -> str:
        """A word or an equation."""
        value = self.values.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """A list of integers."""
        value = self.values.get(name, default)
        return [int(item) for item in value] if isinstance(value, Sequence) else list(default)

    def numbers(self, name: str, default: Sequence[float] = ()) -> list[float]:
        """A list of numbers."""
        value = self.values.get(name, default)
        return [float(item) for item in value] if isinstance(value, Sequence) else list(default)


@dataclass(frozen=True, slots=True)
class Call:
    """One node's inputs, some of which hold several photographs.

    A tensor that holds ``batch`` photographs is what the graph gives for each of them, joined along axis 0.

    Attributes:
        attributes: those of the node.
        inputs: its tensors.
        stacked: which of them hold ``batch`` photographs; the others are the same for all.
        batch: how many photographs.
    """

    attributes: Attributes
    inputs: Inputs
    stacked: tuple[bool, ...]
    batch: int

    def shape(self, slot: int) -> tuple[int, ...]:
        """The shape of an input for one photograph; empty where it is left out."""
        tensor = self.inputs[slot] if slot < len(self.inputs) else None
        if tensor is None:
            return ()
        whole = tuple(tensor.shape)
        return (whole[0] // self.batch, *whole[1:]) if self.stacked[slot] else whole

    def only_first(self) -> bool:
        """Whether the first input alone holds several photographs."""
        return self.stacked[0] and not any(self.stacked[1:])


#: Computes all photographs of a call at once, or says ``None``: then each is computed by itself.
Stacked = Callable[[Compute, Call], Result | None]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of ONNX.

    Attributes:
        compute: the function of one photograph.
        stacked: the function of several, where there is a shorter way than one after the other.
        host: the slots whose tensors are read as numbers: shapes, axes, limits. They stay in the host's memory, and no
            gradient flows to them.
    """

    compute: Compute
    stacked: Stacked
    host: frozenset[int] = frozenset()


Registry = dict[str, Operator]


def host(*slots: int) -> frozenset[int]:
    """The slots whose tensors are read as numbers."""
    return frozenset(slots)
