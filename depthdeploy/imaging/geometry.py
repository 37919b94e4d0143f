"""Where a photograph's pixels lie in the network's frame, and predictions back on the photograph's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.depth import InputContract, ResizeRule


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis: ``network = (original + 0.5) * scale + offset - 0.5`` between pixel centres.

    Attributes:
        original: pixels of the photograph.
        network: pixels of the network's frame.
        scale: network pixels per original pixel.
        offset: where the photograph's first edge lies in the frame, in network pixels; negative when cut off.
        first: the first network pixel that the photograph fills.
        last: one past the last network pixel that the photograph fills.
    """

    original: int
    network: int
    scale: float
    offset: float
    first: int
    last: int

    @property
    def source(self) -> tuple[float, float]:
        """The edges of the stretch of the photograph that is seen, in original pixels."""
        if self.offset > -1e-9:  # nothing is cut off, up to rounding
            return 0.0, float(self.original)
        start = -self.offset / self.scale
        return start, min(float(self.original), start + self.network / self.scale)

    def taps(self, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
        """For each original pixel: the two prediction pixels, the second one's weight, and whether it is seen.

        Args:
            size: pixels of the prediction along this axis, spread over the network's whole frame.
        """
        ratio = size / self.network
        edges = ((np.arange(self.original) + 0.5) * self.scale + self.offset) * ratio
        seen = (edges >= 0) & (edges <= size)
        low, high = self.first * ratio, max(self.first * ratio, self.last * ratio - 1)
        centres = np.clip(edges - 0.5, low, min(high, size - 1))
        before = np.floor(centres).astype(np.intp)
        after = np.minimum(before + 1, size - 1)
        return before, after, (centres - before).astype(np.float32), seen


@dataclass(frozen=True, slots=True)
class Geometry:
    """Maps between a photograph's pixels and the network's, for one resize rule and one photograph's size.

    Points are ``(row, column)`` and name pixel centres: the pixel ``(0, 0)`` covers the square from -0.5 to 0.5 (the
    half-pixel convention, as Pillow, OpenCV and ``align_corners=False`` have it).

    Attributes:
        rows: the vertical axis.
        columns: the horizontal axis.
    """

    rows: _Axis
    columns: _Axis

    @property
    def height(self) -> int:
        """Rows of the photograph."""
        return self.rows.original

    @property
    def width(self) -> int:
        """Columns of the photograph."""
        return self.columns.original

    @property
    def inner(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of the part of the network's frame that the photograph fills."""
        return self.rows.first, self.columns.first, self.rows.last, self.columns.last

    @property
    def source_box(self) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge of the part of the photograph that the network sees, as Pillow has them."""
        (upper, lower), (left, right) = self.rows.source, self.columns.source
        return left, upper, right, lower

    def to_network(self, points: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Points of the photograph in the network's frame, ``[N, 2]`` float64; outside of it where it is cut off."""
        scale, offset = self._map()
        return (np.asarray(points, dtype=np.float64) + 0.5) * scale + offset - 0.5

    def from_network(self, points: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Points of the network's frame on the photograph, ``[N, 2]`` float64: the inverse of :meth:`to_network`."""
        scale, offset = self._map()
        return (np.asarray(points, dtype=np.float64) + 0.5 - offset) / scale - 0.5

    def to_original(self, prediction: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A prediction on the photograph's own pixels.

        Sampled bilinearly at the pixel centres, without antialiasing. What :attr:`ResizeRule.PAD` filled is never
        mixed in. A prediction of another size than the network's input is taken to cover the same frame.

        Args:
            prediction: ``[h, w]`` float32.

        Returns:
            ``[H, W]`` float32, and ``[H, W]`` bool: which pixels the network saw. The others, cut off by
            :attr:`ResizeRule.CROP`, carry the value of the nearest edge and must not be scored.

        Raises:
            ValueError: the prediction is not ``[h, w]``.
        """
        if prediction.ndim != 2 or not prediction.size:
            raise ValueError(f"a prediction is [h, w], got {list(prediction.shape)}")
        above, below, down, seen_rows = self.rows.taps(prediction.shape[0])
        left, right, across, seen_columns = self.columns.taps(prediction.shape[1])
        values = np.asarray(prediction, dtype=np.float32)
        # Columns first, on the few rows of the prediction, then whole rows; in place, as this runs for every image.
        wide, step = values.take(left, axis=1), values.take(right, axis=1)
        step -= wide
        step *= across
        wide += step
        whole, step = wide[above], wide[below]
        step -= whole
        step *= down[:, None]
        whole += step
        return whole, seen_rows[:, None] & seen_columns[None, :]

    def _map(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array([self.rows.scale, self.columns.scale]), np.array([self.rows.offset, self.columns.offset])


@lru_cache(maxsize=256)
def geometry(contract: InputContract, *, height: int, width: int) -> Geometry:
    """How a photograph of a size lies in the network's frame.

    Args:
        contract: the network's size and resize rule.
        height: rows of the photograph, positive.
        width: columns of the photograph, positive.

    Raises:
        ValueError: a side is not positive.
    """
    if height <= 0 or width <= 0:
        raise ValueError(f"a photograph has positive sides, got {height}x{width}")
    tall, wide = contract.height / height, contract.width / width
    match contract.resize:
        case ResizeRule.SQUASH:
            rows = _fitted(height, contract.height, 0, contract.height)
            return Geometry(rows, _fitted(width, contract.width, 0, contract.width))
        case ResizeRule.CROP:
            scale = max(tall, wide)
            return Geometry(_cropped(height, contract.height, scale), _cropped(width, contract.width, scale))
        case ResizeRule.PAD:
            scale = min(tall, wide)
            return Geometry(_padded(height, contract.height, scale), _padded(width, contract.width, scale))


def _fitted(original: int, network: int, first: int, last: int) -> _Axis:
    return _Axis(original, network, (last - first) / original, float(first), first, last)


def _cropped(original: int, network: int, scale: float) -> _Axis:
    return _Axis(original, network, scale, (network - original * scale) / 2, 0, network)


def _padded(original: int, network: int, scale: float) -> _Axis:
    # The photograph takes whole pixels of the frame, so the scale of an axis is the rounded one.
    inner = min(network, max(1, round(original * scale)))
    first = (network - inner) // 2
    return _fitted(original, network, first, first + inner)
