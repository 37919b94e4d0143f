"""Which nodes a run needs, and after which of them a tensor may be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.registry import Attributes, Operator


@dataclass(frozen=True, slots=True)
class Step:
    """One node, ready to run.

    Attributes:
        name: the node's name.
        operator: what it computes.
        attributes: how.
        inputs: the names of its inputs; ``None`` where one is left out.
        outputs: the names of its outputs; empty where one is not asked for.
        shapes_only: whether only the shape of its input is read.
    """

    name: str
    operator: Operator
    attributes: Attributes
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    shapes_only: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of one run.

    Attributes:
        steps: in order.
        dead: for each step, the tensors that nobody reads after it.
    """

    steps: tuple[Step, ...]
    dead: tuple[tuple[str, ...], ...]


def schedule(
    steps: Sequence[Step], constants: Mapping[str, object], given: frozenset[str], wanted: Sequence[str]
) -> Schedule:
    """The steps that lead from given tensors to wanted ones, and no others.

    Raises:
        QuantizationError: a wanted tensor does not exist, or needs an input that is not given.
    """
    producers = {name: step for step in steps for name in step.outputs if name}
    needed, pending, lacking = set[str](), [name for name in wanted if name not in given], []
    seen = set(pending)
    while pending:
        name = pending.pop()
        if name in constants:
            continue
        step = producers.get(name)
        if step is None:
            lacking.append(name)
            continue
        needed.add(step.outputs[0])
        more = {item for item in step.inputs if item and item not in given and item not in seen}
        seen |= more
        pending.extend(more)
    if lacking:
        raise QuantizationError(
            f"The tensors {', '.join(sorted(lacking))} are neither given nor made by a node of the graph.",
            "Give the inputs of this part of the graph.",
        )
    chosen = tuple(step for step in steps if step.outputs[0] in needed)
    return Schedule(chosen, _dead(chosen, constants, frozenset(wanted)))


def _dead(steps: Sequence[Step], constants: Mapping[str, object], kept: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    last: dict[str, int] = {}
    for index, step in enumerate(steps):
        for name in (*step.inputs, *step.outputs):
            if name and name not in constants and name not in kept:
                last[name] = index
    dead: list[list[str]] = [[] for _ in steps]
    for name, index in last.items():
        dead[index].append(name)
    return tuple(map(tuple, dead))
