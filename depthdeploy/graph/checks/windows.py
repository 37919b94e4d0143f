"""Conditions on what slides over an image: kernels, strides, dilations, groups, padding."""

from __future__ import annotations

import math

from depthdeploy.graph.attributes import whole
from depthdeploy.graph.checks.subject import Arguments, Subject, accepted_of, limit_of
from depthdeploy.graph.edit import given, static_shape


def _window(subject: Subject) -> tuple[int, ...]:
    weights = static_shape(given(subject.node, 1))
    return subject.numbers("kernel_shape") or (() if weights is None else weights[2:])


def _product(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))


def kernel(subject: Subject, arguments: Arguments) -> str | None:
    """A kernel with a side above the limit."""
    window = _window(subject)
    return None if max(window, default=0) <= limit_of(arguments) else _product(window)


def kernel_area(subject: Subject, arguments: Arguments) -> str | None:
    """A kernel with more taps than the limit."""
    window = _window(subject)
    return None if math.prod(window) <= limit_of(arguments) else f"{_product(window)} = {math.prod(window)}"


def kernel_volume(subject: Subject, arguments: Arguments) -> str | None:
    """More weights for one output than the limit."""
    weights = static_shape(given(subject.node, 1))
    if weights is None or math.prod(weights[1:]) <= limit_of(arguments):
        return None
    return f"{_product(weights[1:])} = {math.prod(weights[1:])}"


def stride(subject: Subject, arguments: Arguments) -> str | None:
    """A stride above the limit."""
    strides = subject.numbers("strides")
    return None if max(strides, default=1) <= limit_of(arguments) else _product(strides)


def dilation(subject: Subject, arguments: Arguments) -> str | None:
    """A dilation above the limit."""
    dilations = subject.numbers("dilations")
    return None if max(dilations, default=1) <= limit_of(arguments) else _product(dilations)


def strided_dilation(subject: Subject, _: Arguments) -> str | None:
    """A dilated kernel that takes steps above 1."""
    strides, dilations = subject.numbers("strides"), subject.numbers("dilations")
    if max(strides, default=1) == 1 or max(dilations, default=1) == 1:
        return None
    return f"strides {_product(strides)} with dilations {_product(dilations)}"


def padding(subject: Subject, _: Arguments) -> str | None:
    """Padding by the layer itself."""
    pads = subject.numbers("pads")
    return _product(pads) if any(pads) else None


def groups(subject: Subject, arguments: Arguments) -> str | None:
    """Groups of another kind than accepted: ``one``, ``depthwise`` or ``grouped``."""
    count, shape = whole(subject.node, "group", subject.version) or 1, subject.shape
    if count > 1 and shape is None:
        return None
    kind = "one" if count == 1 else "depthwise" if shape is not None and shape[1] == count else "grouped"
    return None if kind in accepted_of(arguments) else f"{count} groups"
