"""What conditions are about, and what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.core.support import Accepted
from depthdeploy.errors import PluginError
from depthdeploy.graph.attributes import attribute
from depthdeploy.graph.edit import given, static_shape

Arguments = Mapping[str, Accepted | tuple[Accepted, ...]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A node and the operator set that it is written in."""

    node: ir.Node
    version: int

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the first input, when every dimension is known."""
        return static_shape(given(self.node, 0))

    @property
    def result(self) -> tuple[int, ...] | None:
        """The shape of the first output, when every dimension is known."""
        return static_shape(self.node.outputs[0])

    def numbers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of whole numbers; empty where it is left out."""
        stated = attribute(self.node, name, self.version)
        return tuple(int(one) for one in stated) if isinstance(stated, (list, tuple)) else ()


def limit_of(arguments: Arguments) -> float:
    """The number that a condition is given.

    Raises:
        PluginError: it is none.
    """
    limit = arguments["limit"]
    if isinstance(limit, (str, tuple)):
        raise PluginError(f"A rule's limit is {limit!r}.", "Give a number.")
    return limit


def accepted_of(arguments: Arguments) -> tuple[Accepted, ...]:
    """The values that a condition is given."""
    accepted = arguments["accepted"]
    return accepted if isinstance(accepted, tuple) else (accepted,)


def inputs_of(arguments: Arguments) -> tuple[int, ...]:
    """The positions of inputs that a condition is given."""
    wanted = arguments["inputs"]
    return tuple(int(one) for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
