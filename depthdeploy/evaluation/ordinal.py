"""How often the annotated closer point is predicted closer (DA-2K; Yang et al. 2024, Depth Anything V2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.photos import PointPair
from depthdeploy.imaging.geometry import Geometry

#: The two-sided 95 % quantile of the normal distribution.
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class PairCount:
    """Pairs of one photograph or of many.

    Attributes:
        pairs: how many were scored.
        right: how many had the closer point strictly nearer.
        ties: how many had both points at the same prediction; they are wrong.
        outside: how many were not scored, because the network did not look there.
    """

    pairs: int = 0
    right: int = 0
    ties: int = 0
    outside: int = 0

    def __add__(self, other: PairCount) -> PairCount:
        return PairCount(
            self.pairs + other.pairs, self.right + other.right, self.ties + other.ties, self.outside + other.outside
        )

    @property
    def accuracy(self) -> float:
        """The share of pairs that are right, in percent.

        Raises:
            ZeroDivisionError: no pair was scored.
        """
        return 100.0 * self.right / self.pairs

    def figures(self) -> dict[str, float]:
        """The counts, the accuracy and its 95 % Wilson interval in percent.

        Raises:
            ZeroDivisionError: no pair was scored.
        """
        low, high = wilson_interval(self.right, self.pairs)
        return {
            "accuracy": self.accuracy,
            "wilson_low": low,
            "wilson_high": high,
            "pairs": float(self.pairs),
            "right": float(self.right),
            "ties": float(self.ties),
            "outside": float(self.outside),
        }


def wilson_interval(right: int, pairs: int) -> tuple[float, float]:
    """The 95 % score interval of a share, in percent (Wilson 1927; Newcombe 1998, method 3).

    Raises:
        ZeroDivisionError: ``pairs`` is 0.
    """
    share, square = right / pairs, _Z95**2
    centre = share + square / (2 * pairs)
    margin = _Z95 * math.sqrt(share * (1 - share) / pairs + square / (4 * pairs**2))
    low, high = (100.0 * (centre + sign * margin) / (1 + square / pairs) for sign in (-1, 1))
    # the ends are exactly 0 and 100 there, and rounding would put them just outside
    return (0.0 if right == 0 else low, 100.0 if right == pairs else high)


def sample_bilinear(prediction: NDArray[np.float32], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between pixels, by bilinear interpolation; beyond the outermost pixel centres the edge is repeated.

    Args:
        prediction: ``[h, w]``.
        points: ``[N, 2]``, row and column in the prediction's own pixels; integers are pixel centres.

    Returns:
        ``[N]`` float64. Equal neighbours give exactly their value, so that a tie stays one.
    """
    height, width = prediction.shape
    rows = np.clip(points[:, 0], 0, height - 1)
    columns = np.clip(points[:, 1], 0, width - 1)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = rows - top, columns - left

    def between(row: NDArray[np.intp]) -> NDArray[np.float64]:
        first = prediction[row, left].astype(np.float64)
        value: NDArray[np.float64] = first + across * (prediction[row, right] - first)
        return value

    upper = between(top)
    result: NDArray[np.float64] = upper + down * (between(bottom) - upper)
    return result


def count_pairs(
    prediction: NDArray[np.float32],
    pairs: Sequence[PointPair],
    frame: Geometry,
    *,
    nearer_is_larger: bool,
) -> PairCount:
    """Compare the prediction at both points of every pair; only strictly nearer is right.

    The prediction is sampled as if it had been brought to the photograph's size bilinearly and read at the points.

    Args:
        prediction: ``[h, w]``, over the network's whole frame.
        pairs: points on the original photograph.
        frame: where the photograph lies in the network's frame.
        nearer_is_larger: the sign of the prediction.
    """
    if not pairs:
        return PairCount()
    points = np.array([[pair.closer, pair.farther] for pair in pairs], dtype=np.float64).reshape(-1, 2)
    placed, seen = _on_prediction(points, prediction.shape, frame)
    values = sample_bilinear(prediction, placed).reshape(-1, 2)[seen.reshape(-1, 2).all(axis=1)]
    near, far = values[:, 0], values[:, 1]
    right = near > far if nearer_is_larger else near < far
    return PairCount(
        pairs=len(values),
        right=int(np.count_nonzero(right)),
        ties=int(np.count_nonzero(near == far)),
        outside=len(pairs) - len(values),
    )


def _on_prediction(
    points: NDArray[np.float64], shape: tuple[int, ...], frame: Geometry
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points of the photograph in the prediction's pixels, off any padding, and which of them the network saw."""
    size = np.array(shape, dtype=np.float64)
    ratio = size / (frame.rows.network, frame.columns.network)
    edges = (frame.to_network(points) + 0.5) * ratio
    seen = np.all((edges >= 0) & (edges <= size), axis=1)
    top, left, bottom, right = frame.inner
    low = np.array([top, left]) * ratio
    high = np.clip(np.array([bottom, right]) * ratio - 1, low, size - 1)
    return np.clip(edges - 0.5, low, high), seen
