"""Conditions on the sizes of tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator

from depthdeploy.graph.checks.subject import Arguments, Subject, accepted_of, limit_of
from depthdeploy.graph.edit import given, static_shape


def _tensors(subject: Subject) -> Iterator[tuple[str, tuple[int, ...]]]:
    for value in (*subject.node.inputs, *subject.node.outputs):
        shape = static_shape(value)
        if value is not None and shape is not None:
            yield value.name or "", shape


def long_dimension(subject: Subject, arguments: Arguments) -> str | None:
    """A tensor with a side above the limit."""
    limit = limit_of(arguments)
    over = [f"{name} {list(shape)}" for name, shape in _tensors(subject) if max(shape, default=0) > limit]
    return over[0] if over else None


def batch(subject: Subject, arguments: Arguments) -> str | None:
    """A batch above the limit."""
    shape = subject.shape
    return None if not shape or shape[0] <= limit_of(arguments) else f"{shape[0]}"


def few_channels(subject: Subject, arguments: Arguments) -> str | None:
    """Channels below the limit."""
    shape = subject.shape
    return None if shape is None or len(shape) < 2 or shape[1] >= limit_of(arguments) else f"{shape[1]}"


def many_channels(subject: Subject, arguments: Arguments) -> str | None:
    """Channels of the data, before or after, above the limit."""
    shapes = [static_shape(value) for value in (given(subject.node, 0), *subject.node.outputs)]
    channels = [shape[1] for shape in shapes if shape is not None and len(shape) > 1]
    return None if max(channels, default=0) <= limit_of(arguments) else f"{max(channels)}"


def elements(subject: Subject, arguments: Arguments) -> str | None:
    """Results of more values than the limit."""
    limit, shapes = limit_of(arguments), {out.name or "": static_shape(out) for out in subject.node.outputs}
    counts = {name: math.prod(shape) for name, shape in shapes.items() if shape is not None}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count > limit) or None


def rank(subject: Subject, arguments: Arguments) -> str | None:
    """Another number of dimensions of the first input than accepted."""
    shape = subject.shape
    return None if shape is None or len(shape) in accepted_of(arguments) else f"{len(shape)}"


def many_changed_axes(subject: Subject, arguments: Arguments) -> str | None:
    """More dimensions than the limit in which the result is larger than the input."""
    before, after = subject.shape, subject.result
    if before is None or after is None:
        return None
    padded = (1,) * (len(after) - len(before)) + before
    changed = sum(a != b for a, b in zip(padded, after, strict=True))
    return None if changed <= limit_of(arguments) else f"{list(before)} to {list(after)}"
