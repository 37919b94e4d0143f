"""Centring and scaling to unit variance in single operators, such that 16-bit floats can hold every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from depthdeploy.errors import UsageError
from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.replacement import Replacement, reduced

_LARGEST: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class HalfRange:
    """What float16 must be able to hold: 65504 at most, and nothing smaller than ``2^-24`` but 0.

    The square of a deviation passes 65504 where the deviation passes 255.9, so activations are multiplied by a power
    of two ``s`` first, which changes no digit::

        (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps)  =  (sx - mean(sx)) / sqrt(mean((sx - mean(sx))^2) + s^2 eps)

    ``s`` is the largest power of two with ``(2 s max_abs)^2 <= 65504``, since ``|x - mean(x)| <= 2 max_abs``; it may be
    above 1. Where sums are held in float16 too, ``count`` values must not pass it together: ``count (2 s max_abs)^2 <=
    65504`` and ``count s max_abs <= 65504``. The largest is taken because small deviations vanish at the other end:
    a row whose standard deviation is below ``2^-12 / s`` has squares below ``2^-24``. A bound that is no larger than
    the activations are keeps more of them.

    Attributes:
        max_abs: the largest absolute value of an activation.
        half_sums: whether the chip adds up in float16 as well; most add up in float32 and store float16.
    """

    max_abs: float
    half_sums: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a bound that cannot be one."""
        if not 0 < self.max_abs <= _LARGEST:
            raise UsageError(
                f"Activations up to {self.max_abs:g} cannot be float16, which ends at {_LARGEST:g}.",
                "Give the largest absolute value of the activations, as calibration reports it.",
            )

    def scale(self, count: int, *, centred: bool = True) -> float:
        """The power of two ``s`` for means over ``count`` values; squares are of deviations, or of the values."""
        largest = (2 if centred else 1) * self.max_abs
        together = count if self.half_sums else 1
        bounds = (math.sqrt(_LARGEST / together) / largest, _LARGEST / (together * self.max_abs))
        return 2.0 ** math.floor(math.log2(min(bounds)))


@dataclass(frozen=True, slots=True)
class Normalized:
    """What normalisation computes on its way.

    Attributes:
        value: the activations with mean 0 and variance 1.
        mean: their mean times ``scale``; ``None`` where they are not centred.
        deviation: their standard deviation times ``scale``.
        scale: the power of two by which the activations were multiplied.
    """

    value: ir.Value
    mean: ir.Value | None
    deviation: ir.Value
    scale: float


def normalize(
    parts: Replacement,
    x: ir.Value,
    axes: Sequence[int],
    epsilon: float,
    *,
    guard: HalfRange | None = None,
    centred: bool = True,
) -> Normalized:
    """``ReduceMean, Sub, Mul, ReduceMean, Add, Sqrt, Div`` over ``axes`` (not negative) of static sizes.

    With a guard there is a ``Mul`` before them, and where ``s^2 eps`` is 0 in float16 a ``Max`` behind the root: its
    bound ``s sqrt(eps)`` is never above the root, and keeps rows that are constant from 0 / 0.
    """
    count = _count(x, axes)
    scale = 1.0 if guard is None else guard.scale(count, centred=centred)
    if scale != 1.0:
        x = parts.make("Mul", [x, parts.number(scale, "power_of_two", like=x)], "scaled")
    over = parts.constant(np.array(axes, dtype=np.int64), "axes")
    small = reduced(x, axes)
    mean = parts.make("ReduceMean", [x, over], "mean", shape=small, attributes=_KEPT) if centred else None
    away = x if mean is None else parts.make("Sub", [x, mean], "deviation")
    square = parts.make("Mul", [away, away], "square")
    variance = parts.make("ReduceMean", [square, over], "variance", shape=small, attributes=_KEPT)
    shifted = parts.make("Add", [variance, parts.number(epsilon * scale**2, "epsilon", like=x)], "variance_epsilon")
    root = parts.make("Sqrt", [shifted], "root")
    if guard is not None and np.float16(epsilon * scale**2) == 0 and np.float16(scale * math.sqrt(epsilon)) > 0:
        root = parts.make("Max", [root, parts.number(scale * math.sqrt(epsilon), "least", like=x)], "floor")
    return Normalized(parts.make("Div", [away, root], "normalized"), mean, root, scale)


_KEPT: Final = (ir.AttrInt64("keepdims", 1),)


def _count(x: ir.Value, axes: Sequence[int]) -> int:
    shape = static_shape(x)
    return 1 if shape is None else math.prod(shape[axis] for axis in axes)
