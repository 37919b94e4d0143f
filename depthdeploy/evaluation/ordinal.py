"""How often the annotated closer point is predicted closer (DA-2K; Yang et al. 2024, Depth Anything V2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        return first + across * (prediction[row, right] - first)

    upper = between(top)
    result: NDArray[np.float64] = upper + down * (between(bottom) - upper)
    return result


def count_pairs(
    prediction: NDArray[np.float32],
    closer: NDArray[np.float64],
    farther: NDArray[np.float64],
    *,
    nearer_is_larger: bool,
) -> PairCount:
    """Compare the prediction at both points of every pair; only strictly nearer is right.

    Args:
        prediction: ``[h, w]``.
        closer: the annotated closer points in the prediction's pixels, ``[N, 2]`` rows and columns; a pair with a
            point outside the prediction is counted in ``outside`` and not scored.
        farther: the other points, ``[N, 2]``.
        nearer_is_larger: the sign of the prediction.
    """
    seen = _inside(closer, prediction.shape) & _inside(farther, prediction.shape)
    near = sample_bilinear(prediction, closer[seen])
    far = sample_bilinear(prediction, farther[seen])
    right = near > far if nearer_is_larger else near < far
    return PairCount(
        pairs=int(seen.sum()),
        right=int(np.count_nonzero(right)),
        ties=int(np.count_nonzero(near == far)),
        outside=int(seen.size - seen.sum()),
    )


def _inside(points: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Which points lie on the map: a pixel reaches half a pixel beyond its centre."""
    # mapping there and back rounds: a point on the very edge must not fall out
    slack = 0.5 + 1e-6
    return np.asarray((points >= -slack).all(axis=1) & (points <= np.asarray(shape) - 1 + slack).all(axis=1))
