"""The observer that leaves out the rarest values."""

from __future__ import annotations

from dataclasses import dataclass

from depthdeploy.core.grid import NumberFormat
from depthdeploy.quantization.observers.histogram import StreamingHistogram
from depthdeploy.quantization.observers.protocol import Array, Range, TensorObserver


class _Tails:
    """The histogram of one tensor, asked for two symmetric quantiles."""

    __slots__ = ("_histogram", "_share")

    def __init__(self, share: float) -> None:
        self._histogram = StreamingHistogram()
        self._share = share

    def update(self, values: Array, extremes: Range | None = None) -> None:
        self._histogram.update(values, extremes)

    def range(self) -> Range:
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
        """It counts values."""
        return False

    def start(self, number_format: NumberFormat | None = None) -> TensorObserver:
        """The state of one tensor that has seen nothing yet; the number format does not matter."""
        return _Tails(self.percentile / 100)
