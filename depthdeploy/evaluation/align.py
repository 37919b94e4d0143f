"""What is fitted per image before a prediction is compared with depth in metres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from depthdeploy.core.depth import Alignment
from depthdeploy.core.photos import DepthRange
from depthdeploy.core.ratios import Values, dot, median_scale
from depthdeploy.errors import EvaluationError


class Affine(NamedTuple):
    """``scale * prediction + shift``, in inverse metres."""

    scale: float
    shift: float


def affine_fit(prediction: Values, inverse_depth: Values) -> Affine:
    """Scale ``s`` and shift ``t`` that minimise ``sum (s p + t - 1/d*)^2`` (Ranftl et al. 2020, MiDaS, section 5).

    Args:
        prediction: ``p``, ``[N]``, inverse depth up to scale and shift.
        inverse_depth: ``1/d*``, ``[N]``, in inverse metres.

    Raises:
        EvaluationError: the prediction is constant over these pixels.
    """
    centre = float(prediction.mean())
    spread = prediction - centre
    variance = dot(spread, spread)
    if not variance > 0:
        raise EvaluationError("the prediction is constant over the valid pixels.", "Check the network's output.")
    scale = dot(spread, inverse_depth) / variance
    return Affine(scale, float(inverse_depth.mean()) - scale * centre)


def aligned_depth(prediction: Values, truth: Values, *, alignment: Alignment, limits: DepthRange) -> Values:
    """The prediction as depth in metres, aligned to the truth and clipped to the data set's range.

    Affine: where the aligned inverse depth is not positive the point is beyond every distance, and gets ``far``.

    Args:
        prediction: over the valid pixels, ``[N]``; depth, or for ``AFFINE`` inverse depth.
        truth: depth in metres over the same pixels, ``[N]``, positive.
        alignment: what is fitted.
        limits: the data set's range.

    Raises:
        EvaluationError: nothing can be fitted.
    """
    match alignment:
        case Alignment.NONE:
            return np.clip(prediction, limits.near, limits.far)
        case Alignment.MEDIAN:
            return np.clip(prediction * median_scale(prediction, truth), limits.near, limits.far)
        case Alignment.AFFINE:
            fit = affine_fit(prediction, 1.0 / truth)
            return 1.0 / np.clip(fit.scale * prediction + fit.shift, 1.0 / limits.far, 1.0 / limits.near)
