"""Streaming histograms: how often which values occur, in memory that no photograph adds to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from depthdeploy.quantization.observers.extremes import Extremes, extremes_of
from depthdeploy.quantization.observers.protocol import Array, Range

#: Bins of one tensor's histogram. A range that has just grown uses half of them, so that a bin is at most 1/2048 of the
#: range: an eighth of an 8-bit step.
BINS = 4096

#: The exponent of the narrowest range: what lies below is 0 to any grid, and its bins would not be normal numbers.
_FINEST = -96

#: Values that are sorted into bins at once: their scratch arrays stay in the cache.
_BLOCK = 1 << 15


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
        self._extremes = Extremes()

    def update(self, values: Array, extremes: Range | None = None) -> None:
        """Take in the finite values of one photograph, any shape, float32: all, or a sample and the extremes of all."""
        flat = values.reshape(-1)
        low, high = extremes_of(flat) if extremes is None else extremes
        self._extremes.update(flat, (low, high))
        magnitude = max(-low, high)
        if magnitude == 0:
            self._zeros += flat.size
            return
        exponent = self._grow(max(math.frexp(magnitude)[1], _FINEST))
        scale = np.float32(math.ldexp(self._bins / 2, -exponent))
        for start in range(0, flat.size, _BLOCK):
            scaled = np.multiply(flat[start : start + _BLOCK], scale, dtype=np.float32)
            scaled += np.float32(self._bins / 2)
            index = scaled.astype(np.intp)
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

    def extremes(self) -> Range:
        """The exact smallest and largest value.

        Raises:
            ValueError: nothing was observed.
        """
        return self._extremes.range()

    def counts(self) -> NDArray[np.int64]:
        """How many values lie in every bin, ``[bins]``; bin ``bins // 2`` starts at 0 and holds the zeros."""
        counts = self._counts.copy()
        counts[self._bins // 2] += self._zeros
        return counts

    def occupied(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The bins from the first to the last that holds a value, the one at 0 among them: counts and edges.

        Returns:
            ``[n]`` counts and ``[n + 1]`` rising edges, cut to the exact extremes and 0; both empty while only zeros
            were observed.
        """
        if self._exponent is None:
            return np.zeros(0), np.zeros(0)
        counts, middle = self.counts(), self._bins // 2
        held = np.flatnonzero(counts)
        first, last = min(int(held[0]), middle), max(int(held[-1]), middle - 1)
        edges = (np.arange(first, last + 2) - middle) * self.bin_width()
        low, high = self.extremes()
        edges = np.clip(edges, min(low, 0.0), max(high, 0.0))
        return counts[first : last + 1].astype(np.float64), edges

    def quantile(self, share: float) -> float:
        """The value below which ``share`` (0 to 1) of the values lie, within a bin width of the exact order statistic.

        Within a bin, values are taken as evenly spread; the result never leaves the exact extremes.

        Raises:
            ValueError: nothing was observed.
        """
        low, high = self._extremes.range()
        counts = self.counts()
        cumulated = np.cumsum(counts)
        rank = share * (int(cumulated[-1]) - 1)
        if rank in (0, int(cumulated[-1]) - 1):
            return low if rank == 0 else high
        index = int(np.searchsorted(cumulated, rank, side="right"))
        before = int(cumulated[index - 1]) if index else 0
        inside = (rank - before) / max(int(counts[index]) - 1, 1)
        value = (index - self._bins // 2 + min(inside, 1.0)) * self.bin_width()
        return min(max(value, low), high)
