"""How close a candidate is to the FP32 network it came from; photographs are enough, no labels are needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.depth import Alignment, DepthKind
from depthdeploy.core.ratios import delta_shares, dot, median_scale
from depthdeploy.errors import EvaluationError

#: What SQNR is capped at. The 24 bits of a float32 are 144.5 dB: beyond it nothing is measured, and identical maps
#: (an infinite SQNR) stay a number that JSON, means and percentiles can hold.
SQNR_CAP_DB = 150.0


def fidelity_alignment(kind: DepthKind) -> Alignment:
    """What is fitted between candidate and reference before ``delta1..3``, ``abs_rel`` and ``rmse``.

    Metric depth has no free scale, so that a wrong one is a loss; the other kinds get one scale by medians.
    """
    return Alignment.NONE if kind is DepthKind.METRIC_DEPTH else Alignment.MEDIAN


@dataclass(frozen=True, slots=True)
class FloatMap:
    """The reference's prediction of one photograph, prepared once for every candidate.

    Attributes:
        values: every pixel, ``[N]`` float64, in the network's units.
        positive: which pixels are positive, ``[N]`` bool; ``None`` when all are.
        kept: the positive values, ``[M]`` float64.
        energy: ``sum r^2`` over every pixel.
    """

    values: NDArray[np.float64]
    positive: NDArray[np.bool_] | None
    kept: NDArray[np.float64]
    energy: float

    @classmethod
    def of(cls, prediction: NDArray[np.float32]) -> FloatMap:
        """From a prediction ``[h, w]``.

        Raises:
            EvaluationError: no pixel is positive.
        """
        values = prediction.astype(np.float64).ravel()
        positive = values > 0
        if not positive.any():
            raise EvaluationError("no prediction is positive.", "Check the kind of output that is declared.")
        whole = bool(positive.all())
        kept = values if whole else values[positive]
        return cls(values, None if whole else positive, kept, dot(values, values))


def sqnr_db(values: NDArray[np.float64], reference: FloatMap) -> float:
    """``10 log10(sum r^2 / sum (p - r)^2)`` over every pixel, without alignment, at most ``SQNR_CAP_DB``."""
    noise = values - reference.values
    return decibels(reference.energy, dot(noise, noise))


def decibels(energy: float, noise: float) -> float:
    """``10 log10(energy / noise)``, within ``SQNR_CAP_DB`` on both sides."""
    ratio = energy / noise if noise > 0 else math.inf
    return min(10.0 * math.log10(ratio), SQNR_CAP_DB) if ratio > 0 else -SQNR_CAP_DB


def similarity(found: NDArray[np.float32], expected: NDArray[np.float32]) -> tuple[float, float]:
    """SQNR in dB and cosine of two tensors of one shape, of any sign; the cosine of a tensor of zeros is 0."""
    values, reference = (array.astype(np.float64).ravel() for array in (found, expected))
    noise, energy = values - reference, dot(reference, reference)
    norm = math.sqrt(energy * dot(values, values))
    return decibels(energy, dot(noise, noise)), dot(values, reference) / norm if norm > 0 else 0.0


def fidelity_scores(prediction: NDArray[np.float32], reference: FloatMap, *, alignment: Alignment) -> dict[str, float]:
    """The metrics of one photograph.

    ``sqnr_db``, ``cosine`` and ``max_abs`` compare every pixel as it is. ``delta1..3``, ``abs_rel`` and ``rmse``
    compare the pixels where the reference is positive (the zeros of a closed ReLU have no ratio), after the alignment.

    Args:
        prediction: the candidate's, ``[h, w]`` float32, of the reference's size.
        reference: the FP32 network's.
        alignment: ``NONE`` or ``MEDIAN``.

    Returns:
        Metric -> value; ``delta1..3`` in percent, ``rmse`` and ``max_abs`` in the network's own units.

    Raises:
        EvaluationError: the sizes differ, or no scale fits.
        ValueError: the alignment is affine.
    """
    if alignment is Alignment.AFFINE:
        raise ValueError("fidelity is aligned by one scale at most")
    values = prediction.astype(np.float64).ravel()
    if values.shape != reference.values.shape:
        raise EvaluationError(
            f"{values.size} values where the reference has {reference.values.size}.",
            "Check that both were made for one input size.",
        )
    kept = values if reference.positive is None else values[reference.positive]
    aligned = kept * median_scale(kept, reference.kept) if alignment is Alignment.MEDIAN else kept
    error = aligned - reference.kept
    norm = math.sqrt(reference.energy * dot(values, values))
    return {
        "sqnr_db": sqnr_db(values, reference),
        "cosine": dot(values, reference.values) / norm if norm > 0 else 0.0,
        **delta_shares(aligned, reference.kept),
        "abs_rel": float((np.abs(error) / reference.kept).mean()),
        "rmse": math.sqrt(dot(error, error) / error.size),
        "max_abs": float(np.abs(values - reference.values).max()),
    }
