"""Two predictions compared by their ratio: the thresholds of Eigen et al. and the one factor between two scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthdeploy.errors import EvaluationError

Values = NDArray[np.float64]

#: The threshold of ``delta1``; ``delta2`` and ``delta3`` take its powers.
DELTA = 1.25


def dot(left: Values, right: Values) -> float:
    """``sum l r`` of two ``[N]`` arrays in this thread: BLAS would start threads that take the network's processors."""
    return float(np.einsum("i,i->", left, right))


def median_scale(prediction: Values, truth: Values) -> float:
    """``median(d*) / median(d)``: the one factor of a prediction without a scale (Zhou et al. 2017, SfMLearner).

    Args:
        prediction: ``d``, ``[N]``.
        truth: ``d*``, ``[N]``.

    Raises:
        EvaluationError: either median is not positive, so that no factor brings them together.
    """
    ours, theirs = float(np.median(prediction)), float(np.median(truth))
    if not (ours > 0 and theirs > 0):
        raise EvaluationError(
            f"the medians {ours:.4g} (prediction) and {theirs:.4g} (reference) allow no scale between them.",
            "Check that the prediction is positive: the kind of output declared, and the ranges of quantization.",
        )
    return theirs / ours


def delta_shares(prediction: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, float]:
    """The share of pixels **inside** ``max(d/d*, d*/d) < 1.25^k``, in percent, for k = 1, 2, 3.

    Args:
        prediction: ``d``, ``[N]``; a value that is not positive is outside every threshold.
        reference: ``d*``, ``[N]``, positive.
    """
    # max(d/d*, d*/d) < t written without division; where d <= 0 the second half is false
    return {
        f"delta{k}": 100.0 * int(np.count_nonzero(_inside(prediction, reference, DELTA**k))) / reference.size
        for k in (1, 2, 3)
    }


def _inside(prediction: NDArray[np.float64], reference: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    return (prediction < threshold * reference) & (reference < threshold * prediction)
