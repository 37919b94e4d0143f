"""Rounding to a grid that gradients pass through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from depthdeploy.core.grid import Grid

#: The ends of a grid in steps from zero: numbers, or a tensor where channels have different zero points.
Ends = tuple[float, float] | tuple[Tensor, Tensor]


class _FakeQuantize(torch.autograd.Function):
    """``scale * clamp(round(x / scale), low, high)``; see :func:`fake_quantize`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, ends: Ends) -> Tensor:
        out = torch.div(x, scale).round_().clamp_(*ends).mul_(scale)
        ctx.save_for_backward(x, scale, out)  # the reader of ``out`` keeps it too, so that only ``x`` takes memory
        ctx.ends = ends
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        x, scale, out = ctx.saved_tensors
        to_x, to_scale = _within(grad, x, scale, ctx.ends), None
        if ctx.needs_input_grad[1]:
            # (round(v) - v) s = out - x inside the grid, and the end times s = out beyond it
            to_scale = torch.mul(grad, out).addcmul_(x, to_x, value=-1).sum_to_size(scale.shape) / scale
        return (to_x if ctx.needs_input_grad[0] else None), to_scale, None


def _within(grad: Tensor, x: Tensor, scale: Tensor, ends: Ends) -> Tensor:
    """The gradient where ``x`` lies on the grid, 0 beyond its ends."""
    low, high = ends
    if scale.numel() == 1 and not isinstance(low, Tensor):  # one pass over memory in the place of three
        step = float(scale)
        found: Tensor = torch.ops.aten.hardtanh_backward(grad, x, step * low, step * high)
        return found
    return grad * torch.eq(torch.clamp(x, scale * low, scale * high), x)


def fake_quantize(x: Tensor, scale: Tensor, ends: Ends) -> Tensor:
    """What ``Grid.dequantize(Grid.quantize(x))`` gives, in float32, with gradients to ``x`` and to the scale.

    Rounding counts as the identity (straight-through). With ``v = x / scale``, the derivative by the scale is
    ``round(v) - v`` within the grid, and the end of the grid beyond it (Esser et al. 2020, "Learned Step Size
    Quantization", section 2.1). Their factor on it, section 2.2, is left out: Adam's steps do not depend on it.

    Args:
        x: any shape, float32.
        scale: positive, broadcast against ``x``.
        ends: the smallest and the largest integer, each minus the zero point.
    """
    result: Tensor = _FakeQuantize.apply(x, scale, ends)  # type: ignore[no-untyped-call]
    return result


def ends_of(grid: Grid, ndim: int, device: torch.device | str = "cpu") -> Ends:
    """The smallest and the largest integer of a grid, each minus the zero point, to go with ``ndim`` dimensions."""
    form = grid.format
    if len(set(grid.zero_point)) == 1:
        return float(form.qmin - grid.zero_point[0]), float(form.qmax - grid.zero_point[0])
    zero = _shaped(grid, grid.zero_point, ndim, device)
    return form.qmin - zero, form.qmax - zero


def scale_of(grid: Grid, ndim: int, device: torch.device | str = "cpu") -> Tensor:
    """The scales of a grid, float32, shaped to be broadcast against a tensor of ``ndim`` dimensions."""
    return _shaped(grid, grid.scale, ndim, device)


def _shaped(grid: Grid, values: tuple[float, ...] | tuple[int, ...], ndim: int, device: torch.device | str) -> Tensor:
    shape = [] if grid.axis is None else [-1 if dim == grid.axis % ndim else 1 for dim in range(ndim)]
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(shape)
