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
#: Below it float16 has fewer digits.
_SMALLEST: Final = 2.0**-14
#: What is no larger becomes 0.
_NOTHING: Final = 2.0**-25


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

    With ``by_row`` nothing vanishes: each row is divided by its own largest deviation ``m``, 2^-14 at least, which is
    the same function for any ``m > 0`` with ``eps / m^2``. It costs seven nodes more, all but two of one value a row.
    Then ``s`` is 1 unless the deviations themselves, or sums in float16, pass 65504.

    Attributes:
        max_abs: the largest absolute value of an activation.
        half_sums: whether the chip adds up in float16 as well; most add up in float32 and store float16.
        by_row: whether squares are of what is left of deviations when they are divided by the largest of their row.
    """

    max_abs: float
    half_sums: bool = False
    by_row: bool = False

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
        single = min(_LARGEST / largest, 1.0) if self.by_row else math.sqrt(_LARGEST / together) / largest
        bounds = (single, _LARGEST / (together * self.max_abs))
        return 2.0 ** math.floor(math.log2(min(bounds)))


@dataclass(frozen=True, slots=True)
class Normalized:
    """What normalisation computes on its way.

    Attributes:
        value: the activations with mean 0 and variance 1.
        mean: their mean times ``scale``; ``None`` where they are not centred.
        deviation: their standard deviation times ``scale``, divided by ``largest`` where there is one.
        scale: the power of two by which the activations were multiplied.
        largest: what each row was divided by after that.
    """

    value: ir.Value
    mean: ir.Value | None
    deviation: ir.Value
    scale: float
    largest: ir.Value | None = None


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

    With a guard there may be a ``Mul`` before them, and where epsilon is 0 in float16 a ``Max`` behind the root: its
    bound, the root of epsilon, is never above the root, and keeps rows that are constant from 0 / 0. Where that is 0 in
    float16 too, as DPT's 1e-12 is, there is none, and such rows need ``by_row``.
    """
    count = _count(x, axes)
    scale = 1.0 if guard is None else guard.scale(count, centred=centred)
    if scale != 1.0:
        x = parts.make("Mul", [x, parts.number(scale, "power_of_two", like=x)], "scaled")
    over, small = parts.constant(np.array(axes, dtype=np.int64), "axes"), reduced(x, axes)
    mean = parts.make("ReduceMean", [x, over], "mean", shape=small, attributes=_KEPT) if centred else None
    away = x if mean is None else parts.make("Sub", [x, mean], "deviation")
    largest = _largest(parts, away, over, small, count) if guard is not None and guard.by_row else None
    if largest is not None:
        away = parts.make("Div", [away, largest], "share")
    square = parts.make("Mul", [away, away], "square")
    variance = parts.make("ReduceMean", [square, over], "variance", shape=small, attributes=_KEPT)
    root = _root(parts, variance, scale * math.sqrt(epsilon), largest, guarded=guard is not None)
    return Normalized(parts.make("Div", [away, root], "normalized"), mean, root, scale, largest)


_KEPT: Final = (ir.AttrInt64("keepdims", 1),)


def _root(parts: Replacement, variance: ir.Value, least: float, largest: ir.Value | None, *, guarded: bool) -> ir.Value:
    """``sqrt(variance + least^2)``, or ``sqrt(variance + (least / largest)^2)``: never below what is squared."""
    if largest is None:
        bound, added = None, parts.number(least**2, "epsilon", like=variance)
    else:  # least / largest is (smallest / largest) (least / smallest), which float16 holds
        least /= _SMALLEST
        ratio = parts.make("Div", [parts.number(_SMALLEST, "smallest", like=variance), largest], "ratio")
        bound = parts.make("Mul", [ratio, parts.number(least, "least", like=variance)], "bound")
        added = parts.make("Mul", [bound, bound], "bound_square")
    root = parts.make("Sqrt", [parts.make("Add", [variance, added], "variance_epsilon")], "root")
    if not guarded or least**2 > _NOTHING or least <= _NOTHING:
        return root
    return parts.make("Max", [root, bound or parts.number(least, "least", like=variance)], "floor")


def _largest(parts: Replacement, away: ir.Value, over: ir.Value, small: ir.Shape | None, count: int) -> ir.Value:
    """The largest absolute value of a row, times so much that ``count`` squares fit in float16 together."""
    sizes = parts.make("Abs", [away], "sizes")
    largest = parts.make("ReduceMax", [sizes, over], "largest", shape=small, attributes=_KEPT)
    room = 2.0 ** max(0, math.ceil(math.log2(count / _LARGEST) / 2))
    if room > 1:
        largest = parts.make("Mul", [largest, parts.number(room, "room", like=away)], "roomy")
    return parts.make("Max", [largest, parts.number(_SMALLEST, "least", like=away)], "divisor")


def _count(x: ir.Value, axes: Sequence[int]) -> int:
    shape = static_shape(x)
    return 1 if shape is None else math.prod(shape[axis] for axis in axes)
