"""Training loss on inverse depth that ignores the prediction's scale and shift."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

# Weights of the parts, chosen once by eye on the size of their gradients.
_GRADIENT, _ANCHOR = 0.5, 0.05
_SCALES = 4
# The aligned prediction may come this close to zero, in units of the mean inverse depth of the image.
_FLOOR = 0.02


def pico_loss(
    prediction: torch.Tensor, *, target: torch.Tensor, relative: float, farthest: float = math.inf
) -> torch.Tensor:
    """Scale-and-shift-invariant distance between prediction and inverse depth.

    Args:
        prediction: float32 [N, 1, H, W], relative inverse depth.
        target: float32 [N, 1, H, W], 1 / metres, 0 = infinitely far.
        relative: Weight of the part that looks at ratios of depth, as the measured accuracy does.
        farthest: Metres beyond which that part looks no more; infinity for every surface.

    Returns:
        float32 scalar, 0 or more.
    """
    difference = _standardise(prediction) - _standardise(target)
    loss = difference.abs().mean()
    for step in range(_SCALES):
        part = difference[:, :, :: 2**step, :: 2**step]
        across, down = part[..., 1:] - part[..., :-1], part[..., 1:, :] - part[..., :-1, :]
        loss = loss + _GRADIENT * (across.abs().mean() + down.abs().mean()) / _SCALES
    loss = loss + relative * _relative(prediction, target=target, farthest=farthest)
    # Nothing else fixes the output's scale; without an anchor it drifts and int8 ranges drift with it.
    top = target.amax(dim=(1, 2, 3), keepdim=True)
    return loss + _ANCHOR * functional.l1_loss(prediction, 4.0 * target / top + 0.5)


def _standardise(x: torch.Tensor) -> torch.Tensor:
    """Median removed, mean absolute deviation set to one, per image."""
    flat = x.flatten(1)
    centred = flat - flat.median(dim=1, keepdim=True).values
    spread = centred.abs().mean(dim=1, keepdim=True).clamp(min=1e-6)
    return (centred / spread).view_as(x)


def _relative(prediction: torch.Tensor, *, target: torch.Tensor, farthest: float) -> torch.Tensor:
    """Mean |log| ratio of the least-squares aligned prediction and the target, on surfaces up to `farthest` metres."""
    x, y = prediction.flatten(1), target.flatten(1)
    here = (y > 1.0 / farthest).float()
    count = here.sum(dim=1, keepdim=True).clamp(min=1.0)
    mean_x, mean_y = (x * here).sum(1, keepdim=True) / count, (y * here).sum(1, keepdim=True) / count
    centred = (x - mean_x) * here
    scale = (centred * (y - mean_y)).sum(1, keepdim=True) / centred.square().sum(1, keepdim=True).clamp(min=1e-6)
    floor = _FLOOR * mean_y
    fitted = torch.maximum(scale * (x - mean_x) + mean_y, floor)
    ratio = (torch.log(fitted) - torch.log(torch.maximum(y, floor))).abs()
    # A capped ratio keeps a few far pixels from ruling the sum.
    return ((ratio.clamp(max=1.0) * here).sum(1, keepdim=True) / count).mean()
