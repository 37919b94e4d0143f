"""Accuracy of relative inverse depth against measured depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAREST_METRES, FARTHEST_METRES = 0.1, 80.0
PAIR_RATIO = 1.3
DELTA_RATIO = 1.25


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy over a set of images.

    Attributes:
        delta1_affine: Mean over images of the share of pixels within a factor of 1.25 after alignment, 0..1.
        abs_rel_affine: Mean over images of the mean relative depth error after alignment.
        ordinal: Mean over images of the share of point pairs put in the right order, 0..1.
        images: Number of images.
    """

    delta1_affine: float
    abs_rel_affine: float
    ordinal: float
    images: int


def aligned_depth(prediction: NDArray[np.float32], *, depth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Metres from a prediction, by the least-squares scale and shift against 1 / depth.

    Args:
        prediction: float32 [H, W], relative inverse depth.
        depth: float32 [H, W], metres, 0 = no measurement; some pixels must be measured.

    Returns:
        float64 [H, W], metres, within 0.1..80.
    """
    valid = depth > 0
    x, y = prediction[valid].astype(np.float64), 1.0 / depth[valid].astype(np.float64)
    variance = float(np.var(x))
    scale = float(np.mean((x - x.mean()) * (y - y.mean()))) / variance if variance > 0 else 0.0
    fitted = scale * (prediction.astype(np.float64) - x.mean()) + y.mean()
    metres: NDArray[np.float64] = 1.0 / np.clip(fitted, 1.0 / FARTHEST_METRES, 1.0 / NEAREST_METRES)
    return metres


def delta1(estimate: NDArray[np.float64], *, depth: NDArray[np.float32]) -> float:
    """Share of measured pixels whose estimate is within a factor of 1.25 of the depth, 0..1."""
    valid = depth > 0
    truth, guess = depth[valid].astype(np.float64), estimate[valid]
    return float(np.mean(np.maximum(guess / truth, truth / guess) < DELTA_RATIO))


def abs_rel(estimate: NDArray[np.float64], *, depth: NDArray[np.float32]) -> float:
    """Mean of |estimate - depth| / depth over the measured pixels."""
    valid = depth > 0
    return float(np.mean(np.abs(estimate[valid] - depth[valid]) / depth[valid]))


def ordinal(
    prediction: NDArray[np.float32], *, depth: NDArray[np.float32], rng: np.random.Generator, pairs: int = 50
) -> float:
    """Share of random point pairs in the right order, 0..1; a tie is wrong.

    Args:
        prediction: float32 [H, W], relative inverse depth.
        depth: float32 [H, W], metres, 0 = no measurement.
        rng: Source of the points.
        pairs: Number of pairs with a depth ratio of 1.3 or more to look for.

    Returns:
        The share, or NaN if the depth holds no such pair.
    """
    valid = np.flatnonzero(depth.ravel() > 0)
    first, second = rng.choice(valid, (2, 40 * pairs))
    metres = depth.ravel()
    apart = np.maximum(metres[first] / metres[second], metres[second] / metres[first]) >= PAIR_RATIO
    first, second = first[apart][:pairs], second[apart][:pairs]
    if first.size == 0:
        return float("nan")
    near = np.where(metres[first] < metres[second], first, second)
    far = np.where(metres[first] < metres[second], second, first)
    return float(np.mean(prediction.ravel()[near] > prediction.ravel()[far]))


def measure(predictions: NDArray[np.float32], *, depths: NDArray[np.float32], seed: int = 0) -> Accuracy:
    """Accuracy of predictions [N, H, W] against depth [N, H, W] in metres, 0 = no measurement."""
    rng = np.random.default_rng(seed)
    shares, errors, orders = [], [], []
    for prediction, depth in zip(predictions, depths, strict=True):
        estimate = aligned_depth(prediction, depth=depth)
        shares.append(delta1(estimate, depth=depth))
        errors.append(abs_rel(estimate, depth=depth))
        orders.append(ordinal(prediction, depth=depth, rng=rng))
    return Accuracy(
        delta1_affine=float(np.mean(shares)),
        abs_rel_affine=float(np.mean(errors)),
        ordinal=float(np.nanmean(orders)),
        images=len(shares),
    )
