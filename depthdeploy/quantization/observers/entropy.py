"""The observer that loses least information."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid, NumberFormat
from depthdeploy.errors import UsageError
from depthdeploy.quantization.observers.histogram import StreamingHistogram
from depthdeploy.quantization.observers.protocol import Array, Range, TensorObserver
from depthdeploy.quantization.observers.search import cheapest

Vector = NDArray[np.float64]


def divergence(counts: Vector, edges: Vector, grid: Grid) -> float:
    """The Kullback-Leibler divergence, in nats, of a histogram's quantized form from the histogram clipped to a grid.

    Both as Migacz 2017 (8-bit inference with TensorRT, the pseudocode of its entropy calibration) has them: the
    reference holds the values beyond the grid in its outermost occupied bins, the quantized form does not know of them,
    and spreads what falls to one step evenly over the bins of that step that hold a value.

    Args:
        counts: ``[n]``, how many values a bin holds.
        edges: ``[n + 1]``, rising.
        grid: one scale for the tensor.
    """
    scale, zero = grid.scale[0], grid.zero_point[0]
    lowest, highest = grid.format.qmin - zero, grid.format.qmax - zero
    steps = np.rint((edges[:-1] + edges[1:]) / 2 / scale).astype(np.int64)
    inside = np.flatnonzero((steps >= lowest) & (steps <= highest) & (counts > 0))
    if not inside.size:
        return math.inf
    first, last = int(inside[0]), int(inside[-1]) + 1
    kept = counts[first:last]
    reference = kept.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    level = steps[first:last] - steps[first]
    held = np.bincount(level, weights=kept)
    bins = np.bincount(level, weights=kept > 0)
    spread = np.where(kept > 0, (held / np.maximum(bins, 1))[level], 0.0)
    present = kept > 0
    expected = reference[present] / reference.sum()
    found = spread[present] / spread.sum()
    return float(np.sum(expected * np.log(expected / found)))


class _Informed:
    """The histogram of one tensor, asked for the range of the least divergence."""

    __slots__ = ("_format", "_histogram")

    def __init__(self, number_format: NumberFormat) -> None:
        self._histogram = StreamingHistogram()
        self._format = number_format

    def update(self, values: Array, extremes: Range | None = None) -> None:
        self._histogram.update(values, extremes)

    def range(self) -> Range:
        low, high = self._histogram.extremes()
        counts, edges = self._histogram.occupied()
        if not counts.size:
            return low, high
        counts = _without_the_peak(counts, edges)

        def cost(low: float, high: float) -> float:
            return divergence(counts, edges, Grid.covering(low, high, self._format))

        return cheapest(cost, min(low, 0.0), max(high, 0.0), self._format)


def _without_the_peak(counts: Vector, edges: Vector) -> Vector:
    """The bin at 0 with its neighbours' count: the zeros behind a ``Relu`` are exact on every grid that is compared.

    NVIDIA's calibrators replace the first bin likewise; left in, its mass would hide what happens elsewhere.
    """
    at_zero = int(np.searchsorted(edges, 0.0, side="right")) - 1
    if at_zero >= counts.size:
        return counts
    around = [counts[index] for index in (at_zero - 1, at_zero + 1) if 0 <= index < counts.size]
    others = counts.copy()
    others[at_zero] = min(counts[at_zero], max(around, default=counts[at_zero]))
    return others if others.any() else counts


@dataclass(frozen=True, slots=True)
class Entropy:
    """The range for which the quantized histogram tells most of the original one, as TensorRT calibrates (Migacz 2017).

    For ranges with values of both signs and asymmetric formats both bounds are searched.
    """

    @property
    def name(self) -> str:
        """For plans and reports."""
        return "entropy"

    @property
    def extremes_suffice(self) -> bool:
        """It counts values."""
        return False

    def start(self, number_format: NumberFormat | None = None) -> TensorObserver:
        """The state of one tensor that has seen nothing yet.

        Raises:
            UsageError: there is no number format.
        """
        if number_format is None:
            raise UsageError("The observer entropy needs the number format.", "Observe for one activation format.")
        return _Informed(number_format)
