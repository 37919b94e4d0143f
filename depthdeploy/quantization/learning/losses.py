"""How far a student's depth is from its teacher's, one number for each photograph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from depthdeploy.core.depth import DepthKind

#: Below this the energy or the variance of a depth map counts as nothing.
_SMALL = 1e-12


def noise_ratio(prediction: Tensor, target: Tensor) -> Tensor:
    """``|p - t|^2 / |t|^2`` of every photograph: 10 to the power of ``-SQNR / 10``.

    Args:
        prediction: ``[N, ...]`` float32.
        target: of the same shape.

    Returns:
        ``[N]``, 0 and above.
    """
    p, t = prediction.flatten(1), target.flatten(1)
    return (p - t).square().sum(1) / t.square().sum(1).clamp_min(_SMALL)


def relative_l2(prediction: Tensor, target: Tensor) -> Tensor:
    """``|p - t| / |t|`` of every photograph, ``[N]``; its gradient is finite where both are the same."""
    return (noise_ratio(prediction, target) + _SMALL).sqrt()


def scale_and_shift_invariant(prediction: Tensor, target: Tensor) -> Tensor:
    """What is left of the target's deviation after the best scale and shift of the prediction, ``[N]``, 0..1.

    ``min_(a, b) |a p + b - t|^2 / |t - mean t|^2``, and the root of it: the loss of Ranftl et al. 2020, "Towards Robust
    Monocular Depth Estimation", section 5, with squared residuals, in closed form (one minus the squared correlation).
    """
    p, t = prediction.flatten(1), target.flatten(1)
    p, t = p - p.mean(1, keepdim=True), t - t.mean(1, keepdim=True)
    energies = p.square().sum(1) * t.square().sum(1)
    explained = (p * t).sum(1).square() / energies.clamp_min(_SMALL)
    return ((1 - explained).clamp_min(0) + _SMALL).sqrt()


def depth_loss(prediction: Tensor, target: Tensor, kind: DepthKind, weight: float) -> Tensor:
    """The relative L2 distance; of depth without a unit, also ``weight`` times the scale-and-shift-invariant one.

    Returns:
        One number: the sum over the photographs.
    """
    distance = relative_l2(prediction, target)
    if kind is not DepthKind.METRIC_DEPTH and weight > 0:
        distance = distance + weight * scale_and_shift_invariant(prediction, target)
    return distance.sum()


def feature_loss(predictions: Sequence[Tensor], targets: Sequence[Tensor], photographs: int) -> Tensor:
    """The mean relative L2 distance of feature maps, one number: the sum over the photographs.

    Args:
        predictions: each ``[photographs * n, ...]``.
        targets: of the same shapes.
        photographs: how many lie along axis 0.
    """
    total = torch.zeros((), device=targets[0].device)
    for found, wanted in zip(predictions, targets, strict=True):
        total = total + relative_l2(found.reshape(photographs, -1), wanted.reshape(photographs, -1)).sum()
    return total / len(targets)
