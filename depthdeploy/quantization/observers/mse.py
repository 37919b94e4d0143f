"""The observer that minimises the error of rounding and clipping together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid, NumberFormat
from depthdeploy.errors import UsageError
from depthdeploy.quantization.observers.histogram import StreamingHistogram
from depthdeploy.quantization.observers.protocol import Array, Range, TensorObserver
from depthdeploy.quantization.observers.search import cheapest

Vector = NDArray[np.float64]


def expected_error(counts: Vector, edges: Vector, grid: Grid, norm: float = 2.0) -> float:
    """The mean of ``|x - Q(x)|^norm`` over a histogram whose values lie evenly within each bin, in closed form.

    A bin's mean is the difference of the antiderivative at its edges. Between the ends of the grid every whole step
    adds ``2 (step/2)^(norm+1) / (norm+1)``, beyond them the distance to the end counts. Because the grid holds 0, its
    points are the multiples of the step, whatever its zero point. A bin without width holds one value, as behind a
    ``Clip``.

    Args:
        counts: ``[n]``, how many values a bin holds.
        edges: ``[n + 1]``, rising.
        grid: one scale for the tensor.
        norm: the exponent, above 0; 2 gives the mean squared error.
    """
    scale, zero = grid.scale[0], grid.zero_point[0]
    first, last = grid.format.qmin - zero, grid.format.qmax - zero
    steps = edges / scale
    nearest = np.clip(np.rint(steps), first, last)
    rest = steps - nearest
    power = norm + 1
    whole = 2 * 0.5**power * nearest
    integral = whole + (rest**2 * rest if norm == 2 else np.sign(rest) * np.abs(rest) ** power)
    width = np.diff(steps)
    means = np.abs(rest[1:]) ** norm
    np.divide(np.diff(integral), width * power, out=means, where=width > 0)
    return float(counts @ means) / float(counts.sum()) * float(scale**norm)


class _Weighed:
    """The histogram of one tensor, asked for the range of the least error."""

    __slots__ = ("_format", "_histogram", "_norm")

    def __init__(self, number_format: NumberFormat, norm: float) -> None:
        self._histogram = StreamingHistogram()
        self._format = number_format
        self._norm = norm

    def update(self, values: Array, extremes: Range | None = None) -> None:
        self._histogram.update(values, extremes)

    def range(self) -> Range:
        low, high = self._histogram.extremes()
        counts, edges = self._histogram.occupied()
        if not counts.size:
            return low, high

        def cost(low: float, high: float) -> float:
            return expected_error(counts, edges, Grid.covering(low, high, self._format), self._norm)

        return cheapest(cost, min(low, 0.0), max(high, 0.0), self._format)


@dataclass(frozen=True, slots=True)
class Mse:
    """The range of the least mean error between a tensor and its quantized form, rounding and clipping together.

    The squared error (Banner et al. 2019, section 3, find its minimum for assumed densities; here the density is the
    histogram) clips what is rare enough. Clipped values err in groups, though, and a network does not average them out
    as it does rounding: a larger exponent, as Nahshan et al. 2021 (section 3) vary it, clips less.

    Attributes:
        norm: the exponent of the error, at least 1 and at most 8; 2 is the squared error.
    """

    norm: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.norm <= 8:
            raise ValueError(f"1 <= norm <= 8 must hold, got {self.norm}")

    @property
    def name(self) -> str:
        """For plans and reports."""
        return "mse" if self.norm == 2 else f"mse({self.norm:.12g})"

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
            raise UsageError(f"The observer {self.name} needs the number format.", "Observe for one activation format.")
        return _Weighed(number_format, self.norm)
