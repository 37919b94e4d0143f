"""What breaks a condition on a node, in words: one function a condition.

Each takes a node with the operator set that it is written in and the condition's arguments, and gives what was found,
or ``None`` where the condition is kept or cannot be judged for want of shapes, which the support check refuses itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.core.support import Accepted
from depthdeploy.errors import PluginError
from depthdeploy.graph.attributes import attribute, whole
from depthdeploy.graph.edit import constant, given, static_shape

Arguments = Mapping[str, Accepted | tuple[Accepted, ...]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A node and the operator set that it is written in."""

    node: ir.Node
    version: int


def _limit(arguments: Arguments) -> float:
    limit = arguments["limit"]
    if isinstance(limit, (str, tuple)):
        raise PluginError(f"A rule's limit is {limit!r}.", "Give a number.")
    return limit


def _accepted(arguments: Arguments) -> tuple[Accepted, ...]:
    accepted = arguments["accepted"]
    return accepted if isinstance(accepted, tuple) else (accepted,)


def _over(values: Mapping[str, float], limit: float) -> str | None:
    over = [f"{name} {value:g}" for name, value in values.items() if value > limit]
    return ", ".join(over) or None


# What is constant ---------------------------------------------------------------------------------------------------


def not_constant(subject: Subject, arguments: Arguments) -> str | None:
    """Inputs that must be constant and are computed."""
    wanted = arguments["inputs"]
    positions = [int(one) for one in (wanted if isinstance(wanted, tuple) else (wanted,))]
    values = {position: given(subject.node, position) for position in positions}
    changing = [value.name or str(at) for at, value in values.items() if value is not None and constant(value) is None]
    return f"{', '.join(changing)} computed at run time" if changing else None


def operands(subject: Subject, arguments: Arguments) -> str | None:
    """What the two factors are: a constant among them, or activations alone."""
    fixed = any(constant(value) is not None for value in subject.node.inputs[:2])
    kind = "constant" if fixed else "activation"
    return None if kind in _accepted(arguments) else {"constant": "a constant", "activation": "an activation"}[kind]


# Shapes -------------------------------------------------------------------------------------------------------------


def long_dimension(subject: Subject, arguments: Arguments) -> str | None:
    """A tensor with a side above the limit."""
    data = [value for value in (*subject.node.inputs, *subject.node.outputs) if value is not None]
    sides = {f"{value.name} {list(shape)}": max(shape, default=0) for value in data if (shape := static_shape(value))}
    over = [name for name, side in sides.items() if side > _limit(arguments)]
    return over[0] if over else None


def batch(subject: Subject, arguments: Arguments) -> str | None:
    """A batch above the limit."""
    shape = static_shape(given(subject.node, 0))
    return None if not shape or shape[0] <= _limit(arguments) else f"{shape[0]}"


def few_channels(subject: Subject, arguments: Arguments) -> str | None:
    """Channels below the limit."""
    shape = static_shape(given(subject.node, 0))
    return None if shape is None or len(shape) < 2 or shape[1] >= _limit(arguments) else f"{shape[1]}"


def elements(subject: Subject, arguments: Arguments) -> str | None:
    """Results of more values than the limit."""
    shapes = {out.name or "": static_shape(out) for out in subject.node.outputs}
    counts = {name: float(math.prod(shape)) for name, shape in shapes.items() if shape is not None}
    return _over(counts, _limit(arguments))


# Windows ------------------------------------------------------------------------------------------------------------


def _window(subject: Subject) -> tuple[int, ...]:
    stated = attribute(subject.node, "kernel_shape", subject.version)
    if isinstance(stated, (list, tuple)) and stated:
        return tuple(int(side) for side in stated)
    weights = static_shape(given(subject.node, 1))
    return () if weights is None else weights[2:]


def _sides(subject: Subject, name: str) -> tuple[int, ...]:
    stated = attribute(subject.node, name, subject.version)
    return tuple(int(side) for side in stated) if isinstance(stated, (list, tuple)) else ()


def kernel(subject: Subject, arguments: Arguments) -> str | None:
    """A kernel with a side above the limit."""
    window = _window(subject)
    return None if max(window, default=0) <= _limit(arguments) else "x".join(map(str, window))


def kernel_area(subject: Subject, arguments: Arguments) -> str | None:
    """A kernel with more taps than the limit."""
    window = _window(subject)
    area = 1
    for side in window:
        area *= side
    return None if area <= _limit(arguments) else f"{'x'.join(map(str, window))} = {area}"


def stride(subject: Subject, arguments: Arguments) -> str | None:
    """A stride above the limit."""
    strides = _sides(subject, "strides")
    return None if max(strides, default=1) <= _limit(arguments) else "x".join(map(str, strides))


def dilation(subject: Subject, arguments: Arguments) -> str | None:
    """A dilation above the limit."""
    dilations = _sides(subject, "dilations")
    return None if max(dilations, default=1) <= _limit(arguments) else "x".join(map(str, dilations))


def groups(subject: Subject, arguments: Arguments) -> str | None:
    """Groups of another kind than accepted: ``one``, ``depthwise`` or ``grouped``."""
    groups = whole(subject.node, "group", subject.version) or 1
    shape = static_shape(given(subject.node, 0))
    kind = "one" if groups == 1 else "depthwise" if shape is not None and shape[1] == groups else "grouped"
    return None if kind in _accepted(arguments) else f"{groups} groups"


# Axes ---------------------------------------------------------------------------------------------------------------


def axis(subject: Subject, arguments: Arguments) -> str | None:
    """The attribute ``axis`` at another place than accepted."""
    shape = static_shape(given(subject.node, 0))
    axis = whole(subject.node, "axis", subject.version)
    if shape is None or axis is None:
        return None
    return _misplaced([axis], len(shape), arguments)


def axes(subject: Subject, arguments: Arguments) -> str | None:
    """An axis of a reduction at another place than accepted."""
    shape = static_shape(given(subject.node, 0))
    stated = attribute(subject.node, "axes", subject.version)
    if stated is None:
        array = constant(given(subject.node, 1))
        stated = None if array is None else array.reshape(-1).tolist()
    if shape is None or not isinstance(stated, (list, tuple)):
        return None
    return _misplaced([int(axis) for axis in stated], len(shape), arguments)


def _misplaced(axes: list[int], rank: int, arguments: Arguments) -> str | None:
    """Axes by name: ``batch``, ``channels``, ``spatial`` (behind the channels), ``last``."""
    accepted = _accepted(arguments)

    def fits(axis: int) -> bool:
        at = axis % rank
        names = {"batch": at == 0, "channels": at == 1 and rank > 2, "spatial": at >= 2, "last": at == rank - 1}
        return at in accepted or any(names.get(str(one), False) for one in accepted)

    wrong = [str(axis) for axis in axes if not fits(axis)]
    return f"axis {', '.join(wrong)} of {rank}" if wrong else None


# Resize -------------------------------------------------------------------------------------------------------------


def _factors(subject: Subject) -> dict[int, float] | None:
    """Axis -> how much it grows, as the coordinate mode counts: ``(out - 1) / (in - 1)`` between aligned corners."""
    before, after = static_shape(given(subject.node, 0)), static_shape(subject.node.outputs[0])
    if before is None or after is None or len(before) != len(after):
        return None
    aligned = attribute(subject.node, "coordinate_transformation_mode", subject.version) == "align_corners"
    sides = {at: (a, b) for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
    return {at: (b - 1) / (a - 1) if aligned and a > 1 else b / a for at, (a, b) in sides.items()}


def broken_factors(subject: Subject, _: Arguments) -> str | None:
    """Scales of a resize that are not whole numbers, or shrink."""
    factors = _factors(subject) or {}
    odd = [f"{factor:.4g}" for factor in factors.values() if factor < 1 or factor != int(factor)]
    return " and ".join(odd) or None


def large_factors(subject: Subject, arguments: Arguments) -> str | None:
    """Scales of a resize above the limit."""
    large = [f"{factor:.4g}" for factor in (_factors(subject) or {}).values() if factor > _limit(arguments)]
    return " and ".join(large) or None


def other_axes(subject: Subject, _: Arguments) -> str | None:
    """Axes of a resize other than height and width."""
    shape = static_shape(given(subject.node, 0))
    other = [str(axis) for axis in _factors(subject) or {} if shape is not None and axis < len(shape) - 2]
    return f"axis {', '.join(other)}" if other else None
