"""Observers: what the values of an activation tensor span, gathered photograph by photograph in constant memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depthdeploy.errors import UsageError

#: Bins of one tensor's histogram. A range that has just grown uses half of them, so that a bin is at most 1/2048 of the
#: range: an eighth of an 8-bit step.
BINS = 4096

#: The exponent of the narrowest range: what lies below is 0 to any grid, and its bins would not be normal numbers.
_FINEST = -96


class TensorObserver(Protocol):
    """The state of one tensor: updated with every photograph's values, asked once at the end."""

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the finite values of one photograph, any shape, float32."""

    def range(self) -> tuple[float, float]:
        """The bounds ``(low, high)`` of what a grid should cover.

        Raises:
            ValueError: nothing was observed.
        """


class Observer(Protocol):
    """A rule that chooses ranges: frozen settings, and a fresh state for every tensor."""

    @property
    def name(self) -> str:
        """With its settings, for plans and reports: ``minmax``, ``percentile(99.99)``."""

    @property
    def extremes_suffice(self) -> bool:
        """Whether the smallest and largest value of a photograph stand for all of them."""

    def start(self) -> TensorObserver:
        """The state of one tensor that has seen nothing yet."""


class _Extremes:
    """The smallest and the largest value so far."""

    __slots__ = ("_high", "_low")

    def __init__(self) -> None:
        self._low, self._high = math.inf, -math.inf

    def update(self, values: NDArray[np.float32]) -> None:
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))

    def range(self) -> tuple[float, float]:
        if self._low > self._high:
            raise ValueError("nothing was observed")
        return self._low, self._high


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

    def start(self) -> TensorObserver:
        """The state of one tensor that has seen nothing yet."""
        return _Extremes()


class StreamingHistogram:
    """Counts in ``bins`` equal bins over ``[-2^e, 2^e]``; ``e`` grows by merging bins in pairs, so no value is lost.

    The result does not depend on the order of the photographs once the largest magnitude has been seen; a count that
    was merged stays in the right bin of the wider range, because both ranges are symmetric and halve exactly.

    Args:
        bins: how many, a positive multiple of 4.
    """

    __slots__ = ("_bins", "_counts", "_exponent", "_extremes", "_zeros")

    def __init__(self, bins: int = BINS) -> None:
        if bins <= 0 or bins % 4:
            raise ValueError(f"bins must be a positive multiple of 4, got {bins}")
        self._bins = bins
        self._counts: NDArray[np.int64] = np.zeros(bins, dtype=np.int64)
        self._exponent: int | None = None
        self._zeros = 0
        self._extremes = _Extremes()

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the finite values of one photograph, any shape, float32."""
        flat = values.reshape(-1)
        self._extremes.update(flat)
        low, high = float(flat.min()), float(flat.max())
        magnitude = max(-low, high)
        if magnitude == 0:
            self._zeros += flat.size
            return
        exponent = self._grow(max(math.frexp(magnitude)[1], _FINEST))
        scaled = np.multiply(flat, np.float32(math.ldexp(self._bins / 2, -exponent)), dtype=np.float32)
        scaled += np.float32(self._bins / 2)
        index = scaled.astype(np.int32)
        np.minimum(index, self._bins - 1, out=index)
        self._counts += np.bincount(index, minlength=self._bins)

    def _grow(self, exponent: int) -> int:
        """Make room for ``|x| <= 2^exponent``: every doubling merges pairs of bins towards the middle."""
        before = exponent if self._exponent is None else self._exponent
        for _ in range(exponent - before):
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.zeros(self._bins, dtype=np.int64)
            quarter = self._bins // 4
            self._counts[quarter : 3 * quarter] = merged
        self._exponent = max(exponent, before)
        return self._exponent

    def bin_width(self) -> float:
        """The width of one bin; 0 while only zeros were observed."""
        return 0.0 if self._exponent is None else math.ldexp(2.0 / self._bins, self._exponent)

    def extremes(self) -> tuple[float, float]:
        """The exact smallest and largest value.

        Raises:
            ValueError: nothing was observed.
        """
        return self._extremes.range()

    def quantile(self, share: float) -> float:
        """The value below which ``share`` (0 to 1) of the values lie, within a bin width of the exact order statistic.

        Within a bin, values are taken as evenly spread; the result never leaves the exact extremes.

        Raises:
            ValueError: nothing was observed.
        """
        low, high = self._extremes.range()
        counts = self._counts.copy()
        counts[self._bins // 2] += self._zeros
        cumulated = np.cumsum(counts)
        rank = share * (int(cumulated[-1]) - 1)
        if rank in (0, int(cumulated[-1]) - 1):
            return low if rank == 0 else high
        index = int(np.searchsorted(cumulated, rank, side="right"))
        before = int(cumulated[index - 1]) if index else 0
        inside = (rank - before) / max(int(counts[index]) - 1, 1)
        value = (index - self._bins // 2 + min(inside, 1.0)) * self.bin_width()
        return min(max(value, low), high)


class _Tails:
    """The histogram of one tensor, asked for two symmetric quantiles."""

    __slots__ = ("_histogram", "_share")

    def __init__(self, share: float) -> None:
        self._histogram = StreamingHistogram()
        self._share = share

    def update(self, values: NDArray[np.float32]) -> None:
        self._histogram.update(values)

    def range(self) -> tuple[float, float]:
        low, high = self._histogram.quantile(1 - self._share), self._histogram.quantile(self._share)
        return min(low, high), max(low, high)


@dataclass(frozen=True, slots=True)
class Percentile:
    """The range leaves out the rarest values at both ends: they saturate, and all other steps become finer.

    Attributes:
        percentile: the upper bound; the lower one is ``100 - percentile``, both within a bin of the exact order
            statistic. 99.999 was best of 99.9, 99.99, 99.999 and 100 for two trained depth networks, in SQNR on
            photographs that were not observed.
    """

    percentile: float = 99.999

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise ValueError(f"50 < percentile <= 100 must hold, got {self.percentile}")

    @property
    def name(self) -> str:
        """For plans and reports."""
        return f"percentile({self.percentile:.12g})"

    @property
    def extremes_suffice(self) -> bool:
        """It counts every value."""
        return False

    def start(self) -> TensorObserver:
        """The state of one tensor that has seen nothing yet."""
        return _Tails(self.percentile / 100)


def parse_observer(text: str) -> Observer:
    """The observer that a user names: ``minmax``, ``percentile`` or ``percentile:99.99``.

    Raises:
        UsageError: there is no such observer, or its percentile is not above 50 and at most 100.
    """
    if text == "minmax":
        return MinMax()
    if text == "percentile":
        return Percentile()
    match = re.fullmatch(r"percentile:(\d{1,3}(?:\.\d+)?)", text)
    if match is None or not 50 < float(match[1]) <= 100:
        raise UsageError(
            f"{text!r} is not an observer.", "Use minmax, percentile or percentile:P with 50 < P <= 100, as in 99.99."
        )
    return Percentile(float(match[1]))
