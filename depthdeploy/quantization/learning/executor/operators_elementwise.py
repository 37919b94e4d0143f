"""Arithmetic, comparison and selection, element by element, with NumPy's broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from depthdeploy.quantization.learning.executor.batching import broadcast, elements
from depthdeploy.quantization.learning.executor.registry import Attributes, Operator, Registry


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return Operator(lambda attributes, x: function(x), elements)


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return Operator(lambda attributes, a, b: function(a, b), broadcast)


def _many(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return Operator(lambda attributes, *tensors: reduce(function, tensors), broadcast)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _power(a: Tensor, b: Tensor) -> Tensor:
    """The type is that of the base."""
    if b.ndim == 0 and b.is_floating_point() and a.is_floating_point() and float(b) == 2:
        return a * a
    return torch.pow(a, b).to(a.dtype)


def mod(attributes: Attributes, a: Tensor, b: Tensor) -> Tensor:
    """The remainder; with ``fmod=1`` it has the sign of the dividend, otherwise that of the divisor."""
    return torch.fmod(a, b) if attributes.integer("fmod", 0) else torch.remainder(a, b)


def mean(attributes: Attributes, *tensors: Tensor) -> Tensor:
    """The mean of tensors."""
    return reduce(torch.add, tensors) / len(tensors)


def clip(attributes: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Values below ``low`` become it, then values above ``high``; before opset 11 both are attributes."""
    least = low.item() if low is not None else attributes.number("min", -math.inf) if attributes.has("min") else None
    most = high.item() if high is not None else attributes.number("max", math.inf) if attributes.has("max") else None
    return x if least is None and most is None else torch.clamp(x, least, most)


def is_inf(attributes: Attributes, x: Tensor) -> Tensor:
    """Which elements are infinite, of one sign or of both."""
    negative = torch.isneginf(x) & bool(attributes.integer("detect_negative", 1))
    return negative | (torch.isposinf(x) & bool(attributes.integer("detect_positive", 1)))


def where(attributes: Attributes, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a`` where the condition holds, otherwise ``b``."""
    return torch.where(condition, a, b)


OPERATORS: Registry = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Ceil": _unary(torch.ceil),
    "Clip": Operator(clip, elements, frozenset({1, 2})),
    "Cos": _unary(torch.cos),
    "Div": _binary(_divide),
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "IsInf": Operator(is_inf, elements),
    "IsNaN": _unary(torch.isnan),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "Max": _many(torch.maximum),
    "Mean": Operator(mean, broadcast),
    "Min": _many(torch.minimum),
    "Mod": Operator(mod, broadcast),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "Pow": _binary(_power),
    "Reciprocal": _unary(torch.reciprocal),
    "Round": _unary(torch.round),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _many(torch.add),
    "Tan": _unary(torch.tan),
    "Where": Operator(where, broadcast),
    "Xor": _binary(torch.logical_xor),
}
