"""How right a prediction is against measured depth: the metrics of Eigen et al. and KITTI, per image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.photos import DepthRange
from depthdeploy.core.ratios import delta_shares, dot
from depthdeploy.errors import EvaluationError

#: Rows and columns scored on the 480x640 frames of NYU Depth v2 (Eigen et al. 2014; the constants of BTS,
#: Lee et al. 2019, ``eval_with_pngs.py``).
_EIGEN_NYU = (slice(45, 471), slice(41, 601))

#: Top, bottom, left and right as fractions of the frame: Eigen et al. 2014 and Garg et al. 2016, both as in
#: Monodepth (Godard et al. 2017, ``evaluate_kitti.py``).
_FRACTIONS = {
    "eigen-kitti": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
}

#: Every crop that a data set may ask for.
CROPS = ("none", "eigen-nyu", *_FRACTIONS)


def crop_window(crop: str, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of a frame that a protocol scores.

    Raises:
        EvaluationError: the crop is unknown, or is not defined for frames of this size.
    """
    if crop == "none":
        return slice(0, height), slice(0, width)
    if crop == "eigen-nyu":
        if (height, width) != (480, 640):
            raise EvaluationError(
                f"the crop eigen-nyu is defined on 480x640 frames, this one is {height}x{width}.",
                "Use the original frames, or a data set without this crop.",
            )
        return _EIGEN_NYU
    if crop not in _FRACTIONS:
        raise EvaluationError(f"there is no crop {crop!r}.", f"Use one of {', '.join(CROPS)}.")
    top, bottom, left, right = _FRACTIONS[crop]
    return slice(int(top * height), int(bottom * height)), slice(int(left * width), int(right * width))


def valid_pixels(truth: NDArray[np.float32], limits: DepthRange) -> NDArray[np.bool_]:
    """Where a frame is scored: measured, within the range (both ends included) and inside the crop.

    Args:
        truth: depth in metres, ``[H, W]``; 0 or NaN where there is none.
        limits: the data set's range and crop.

    Returns:
        ``[H, W]`` bool.

    Raises:
        EvaluationError: the crop does not fit the frame.
    """
    window = crop_window(limits.crop, *truth.shape)
    valid = np.zeros(truth.shape, dtype=np.bool_)
    inside = truth[window]
    # float32 like the frame: a depth stored as exactly the limit must not fall out by a rounding of the limit
    near, far = np.float32(limits.near), np.float32(limits.far)
    valid[window] = (inside > 0) & (inside >= near) & (inside <= far)
    return valid


def dense_scores(depth: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    """The metrics of one image.

    With prediction ``d`` and truth ``d*`` over ``N`` pixels: ``abs_rel``, ``sq_rel``, ``rmse``, ``rmse_log``,
    ``delta1..3`` of Eigen et al. 2014; ``silog = 100 sqrt(var(ln d - ln d*))`` of KITTI; ``log10``; ``mae``.

    Args:
        depth: ``d`` in metres, ``[N]``, aligned, positive.
        truth: ``d*`` in metres, ``[N]``, positive.

    Returns:
        Metric -> value; ``delta1..3`` in percent, ``silog`` in hundredths, ``rmse``, ``mae`` and ``sq_rel`` in metres.

    Raises:
        EvaluationError: there is no pixel, or the lengths differ.
    """
    if depth.shape != truth.shape:
        raise EvaluationError(f"{depth.size} predictions and {truth.size} measurements.", "Compare equal pixels.")
    if not truth.size:
        raise EvaluationError("no valid pixel.", "Check the depth file's unit and the data set's range and crop.")
    count = truth.size
    error = depth - truth
    relative = error / truth
    logs = np.log(depth / truth)
    spread = logs - float(logs.mean())
    return {
        "abs_rel": float(np.abs(relative).mean()),
        "sq_rel": dot(relative, error) / count,
        "rmse": math.sqrt(dot(error, error) / count),
        "rmse_log": math.sqrt(dot(logs, logs) / count),
        "log10": float(np.abs(logs).mean()) / math.log(10.0),
        "silog": 100.0 * math.sqrt(dot(spread, spread) / count),
        "mae": float(np.abs(error).mean()),
        **delta_shares(depth, truth),
    }
