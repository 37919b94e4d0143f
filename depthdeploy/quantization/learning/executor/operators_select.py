"""Operators that select: slices, indices, the largest ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.quantization.learning.executor.batching import all_samples, axis, never, within
from depthdeploy.quantization.learning.executor.operators_shape import axes_of
from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Operator, Registry, host


def slice_(attributes: Attributes, x: Tensor, *given: Tensor | None) -> Tensor:
    """Elements from start to end by steps along axes, as Python's slices count them; steps may be negative.

    Inputs after ``x``: starts, ends, axes, steps; attributes of the same names before opset 10.
    """
    starts, ends, axes, steps = (*given, None, None, None, None)[:4]
    first, last = axes_of(attributes, starts, "starts") or [], axes_of(attributes, ends, "ends") or []
    along = axes_of(attributes, axes) or list(range(len(first)))
    by = axes_of(attributes, steps, "steps") or [1] * len(first)
    for start, end, dimension, step in zip(first, last, along, by, strict=True):
        size = x.shape[dimension]
        chosen = range(size)[_bounded(start, end, step, size)]
        if step > 0:
            index: list[slice] = [slice(None)] * x.ndim
            index[dimension] = slice(chosen.start, chosen.stop, step)
            x = x[tuple(index)]
        else:
            x = x.index_select(dimension, torch.tensor(list(chosen), dtype=torch.int64, device=x.device))
    return x


def _bounded(start: int, end: int, step: int, size: int) -> slice:
    """ONNX counts a negative end from the back, and one beyond the front as the front."""
    if step < 0 and end < -size:
        return slice(start, None, step)
    return slice(start, end, step)


def _sliced(attributes: Attributes, rank: int, call: Call) -> list[int]:
    starts = axes_of(attributes, call.inputs[1] if len(call.inputs) > 1 else None, "starts") or []
    axes = axes_of(attributes, call.inputs[3] if len(call.inputs) > 3 else None)
    return axes or list(range(len(starts)))


def _positive(indices: Tensor, size: int, device: torch.device) -> Tensor:
    moved = indices.to(device=device, dtype=torch.int64)
    return torch.where(moved < 0, moved + size, moved)


def gather(attributes: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    """Slices of ``x`` along an axis, in the shape of the indices; negative ones count from the end."""
    along = attributes.integer("axis", 0) % x.ndim
    positive = _positive(indices, x.shape[along], x.device)
    if positive.ndim == 0 and positive.device.type == "cpu":
        return x.select(along, int(positive))
    chosen = x.index_select(along, positive.reshape(-1))
    return chosen.reshape(*x.shape[:along], *indices.shape, *x.shape[along + 1 :])


def gather_elements(attributes: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    """One element for each index along an axis."""
    along = attributes.integer("axis", 0) % x.ndim
    return torch.gather(x, along, _positive(indices, x.shape[along], x.device))


def _indexed(x: Tensor, indices: Tensor, first: int) -> tuple[Tensor, ...]:
    """The last axis of the indices as one tensor for each axis of ``x`` from ``first`` on."""
    return tuple(_positive(indices[..., i], x.shape[first + i], x.device) for i in range(indices.shape[-1]))


def gather_nd(attributes: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    """Slices of ``x`` at tuples of indices, for each element of the leading ``batch_dims`` axes."""
    leading = attributes.integer("batch_dims", 0)
    if not leading:
        return x[_indexed(x, indices, 0)]
    lead = x.shape[:leading]
    data, index = x.reshape(-1, *x.shape[leading:]), indices.reshape(-1, *indices.shape[leading:])
    parts = [item[_indexed(item, at, 0)] for item, at in zip(data, index, strict=True)]
    return torch.stack(parts).reshape(*lead, *parts[0].shape)


def scatter_nd(attributes: Attributes, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """``x`` with slices replaced, or added to, at tuples of indices."""
    at, how = _indexed(x, indices, 0), attributes.text("reduction", "none")
    if how in ("none", "add"):
        return x.index_put(at, updates, accumulate=how == "add")
    flat = torch.arange(x.numel(), device=x.device).reshape(x.shape)[at].reshape(-1)
    name = {"mul": "prod", "max": "amax", "min": "amin"}[how]
    return x.reshape(-1).scatter_reduce(0, flat, updates.reshape(-1), name).reshape(x.shape)


def top_k(attributes: Attributes, x: Tensor, k: Tensor) -> tuple[Tensor, ...]:
    """The largest or smallest values along an axis and their indices; of equal ones the first."""
    along, largest = attributes.integer("axis", -1), bool(attributes.integer("largest", 1))
    order = torch.sort(x, dim=along, descending=largest, stable=True)
    count = int(k.reshape(-1)[0])
    return order.values.narrow(along, 0, count), order.indices.narrow(along, 0, count)


def grid_sample(attributes: Attributes, x: Tensor, grid: Tensor) -> Tensor:
    """``x [N,C,H,W]`` read at the places of ``grid [N,H',W',2]`` in [-1, 1]."""
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(given := attributes.text("mode", "linear"), given)
    padding = attributes.text("padding_mode", "zeros")
    corners = bool(attributes.integer("align_corners", 0))
    return functional.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)


OPERATORS: Registry = {
    "Gather": Operator(gather, within(axis(0))),
    "GatherElements": Operator(gather_elements, never),
    "GatherND": Operator(gather_nd, never),
    "GridSample": Operator(grid_sample, all_samples),
    "ScatterND": Operator(scatter_nd, never),
    "Slice": Operator(slice_, within(_sliced), host(1, 2, 3, 4)),
    "TopK": Operator(top_k, within(axis(-1)), host(1)),
}
