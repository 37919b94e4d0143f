"""Observers that look at the smallest and the largest value of every photograph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.grid import NumberFormat
from depthdeploy.quantization.observers.protocol import Array, Range, TensorObserver


class Extremes:
    """The smallest and the largest value so far."""

    __slots__ = ("_high", "_low")

    def __init__(self) -> None:
        self._low, self._high = math.inf, -math.inf

    def update(self, values: Array, extremes: Range | None = None) -> None:
        """Take in one photograph."""
        low, high = extremes_of(values) if extremes is None else extremes
        self._low, self._high = min(self._low, low), max(self._high, high)

    def range(self) -> Range:
        """The extremes.

        Raises:
            ValueError: nothing was observed.
        """
        if self._low > self._high:
            raise ValueError("nothing was observed")
        return self._low, self._high


def extremes_of(values: Array) -> Range:
    """The smallest and the largest of some values."""
    return float(values.min()), float(values.max())


@dataclass(frozen=True, slots=True)
class MinMax:
    """The range holds every observed value: nothing is clipped, one outlier makes all steps coarser."""

    @property
    def name(self) -> str:
        """For plans and reports."""
        return "minmax"

    @property
    def extremes_suffice(self) -> bool:
        """They are all it looks at."""
        return True

    def start(self, number_format: NumberFormat | None = None) -> TensorObserver:
        """The state of one tensor that has seen nothing yet; the number format does not matter."""
        return Extremes()


class _Usual:
    """The extremes of every photograph, two numbers each."""

    __slots__ = ("_reach", "_seen", "_share")

    def __init__(self, share: float, reach: float) -> None:
        self._share, self._reach = share, reach
        self._seen: list[Range] = []

    def update(self, values: Array, extremes: Range | None = None) -> None:
        self._seen.append(extremes_of(values) if extremes is None else extremes)

    def range(self) -> Range:
        if not self._seen:
            raise ValueError("nothing was observed")
        lows, highs = (np.asarray(ends) for ends in zip(*self._seen, strict=True))
        return -self._bound(-lows), self._bound(highs)

    def _bound(self, ends: NDArray[np.float64]) -> float:
        most, usual = float(ends.max()), float(np.quantile(ends, self._share))
        return min(most, self._reach * usual) if usual > 0 else most


@dataclass(frozen=True, slots=True)
class UsualMinMax:
    """Min-max, but a photograph that reaches far beyond nearly all others does not make their steps coarser.

    Attributes:
        share: how many of the photographs are usual, as a share of them.
        reach: the range ends at most so many times beyond what the usual ones reach.
    """

    share: float = 0.98
    reach: float = 1.5

    @property
    def name(self) -> str:
        """For plans and reports."""
        return f"usual-minmax({self.share:.12g}, {self.reach:.12g})"

    @property
    def extremes_suffice(self) -> bool:
        """They are all it looks at."""
        return True

    def start(self, number_format: NumberFormat | None = None) -> TensorObserver:
        """The state of one tensor that has seen nothing yet; the number format does not matter."""
        return _Usual(self.share, self.reach)


class _Average:
    """Exponential moving averages of a photograph's extremes, in the order of the photographs."""

    __slots__ = ("_momentum", "_range")

    def __init__(self, momentum: float) -> None:
        self._momentum = momentum
        self._range: Range | None = None

    def update(self, values: Array, extremes: Range | None = None) -> None:
        low, high = extremes_of(values) if extremes is None else extremes
        if self._range is not None:
            kept = self._momentum
            low = kept * self._range[0] + (1 - kept) * low
            high = kept * self._range[1] + (1 - kept) * high
        self._range = low, high

    def range(self) -> Range:
        if self._range is None:
            raise ValueError("nothing was observed")
        return self._range


@dataclass(frozen=True, slots=True)
class Moving:
    """The range is an average over photographs of their extremes, which recent photographs weigh most in.

    As in quantization-aware training (Jacob et al. 2018, section 3.1). A rare bright photograph is clipped, and the
    result depends on the order of the photographs, which a calibration set fixes.

    Attributes:
        momentum: the share of the old average that every photograph keeps, at least 0 and below 1.
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"0 <= momentum < 1 must hold, got {self.momentum}")

    @property
    def name(self) -> str:
        """For plans and reports."""
        return f"moving({self.momentum:.12g})"

    @property
    def extremes_suffice(self) -> bool:
        """They are all it looks at."""
        return True

    def start(self, number_format: NumberFormat | None = None) -> TensorObserver:
        """The state of one tensor that has seen nothing yet; the number format does not matter."""
        return _Average(self.momentum)
