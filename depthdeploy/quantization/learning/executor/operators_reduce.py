"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from depthdeploy.quantization.learning.executor.batching import within
from depthdeploy.quantization.learning.executor.operators_shape import axes_of
from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Operator, Registry, host

#: A reduction of a tensor along several axes: ``(x, axes, keep) -> Tensor``.
_Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _chosen(attributes: Attributes, rank: int, given: Tensor | None) -> list[int]:
    axes = axes_of(attributes, given)
    if axes:
        return [axis % rank for axis in axes]
    return [] if attributes.integer("noop_with_empty_axes", 0) else list(range(rank))


def _reduce(function: _Reduction, alone: Callable[[Tensor], Tensor] = lambda x: x) -> Operator:
    """A reduction; ``alone`` is what it makes of every element where no axis is reduced."""

    def compute(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        along = _chosen(attributes, x.ndim, axes)
        return function(x, along, bool(attributes.integer("keepdims", 1))) if along else alone(x)

    def touched(attributes: Attributes, rank: int, call: Call) -> list[int]:
        return _chosen(attributes, rank, call.inputs[1] if len(call.inputs) > 1 else None)

    return Operator(compute, within(touched), host(1))


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, dim=axis, keepdim=keep)
    return x


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(dim=axes, keepdim=keep)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return torch.div(x.sum(dim=axes, keepdim=keep), count, rounding_mode="trunc").to(x.dtype)


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(dim=axes, keepdim=keep, dtype=x.dtype)


def _arg(function: Callable[..., Tensor]) -> Operator:
    """The index of the extreme element; of equal ones the first, or the last with ``select_last_index``."""

    def compute(attributes: Attributes, x: Tensor) -> Tensor:
        along, keep = attributes.integer("axis", 0), bool(attributes.integer("keepdims", 1))
        if not attributes.integer("select_last_index", 0):
            return function(x, dim=along, keepdim=keep)
        return x.shape[along] - 1 - function(x.flip(along), dim=along, keepdim=keep)

    return Operator(compute, within(lambda attributes, rank, call: [attributes.integer("axis", 0)]))


def cum_sum(attributes: Attributes, x: Tensor, axis: Tensor) -> Tensor:
    """Sums of the elements up to each one; ``exclusive`` leaves it out, ``reverse`` counts from the end."""
    along = int(axis.reshape(-1)[0])
    backward = bool(attributes.integer("reverse", 0))
    source = x.flip(along) if backward else x
    sums = source.cumsum(along, dtype=x.dtype)
    if attributes.integer("exclusive", 0):
        sums = sums - source
    return sums.flip(along) if backward else sums


def _summed(attributes: Attributes, rank: int, call: Call) -> list[int]:
    axis = call.inputs[1]
    return list(range(rank)) if axis is None else [int(axis.reshape(-1)[0])]


OPERATORS: Registry = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "CumSum": Operator(cum_sum, within(_summed), host(1)),
    "ReduceL1": _reduce(lambda x, axes, keep: _sum(x.abs(), axes, keep), torch.abs),
    "ReduceL2": _reduce(lambda x, axes, keep: _sum(x * x, axes, keep).sqrt(), torch.abs),
    "ReduceLogSum": _reduce(lambda x, axes, keep: _sum(x, axes, keep).log(), torch.log),
    "ReduceLogSumExp": _reduce(lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep)),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(dim=axes, keepdim=keep)),
    "ReduceMean": _reduce(_mean),
    "ReduceMin": _reduce(lambda x, axes, keep: x.amin(dim=axes, keepdim=keep)),
    "ReduceProd": _reduce(_product),
    "ReduceSum": _reduce(_sum),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: _sum(x * x, axes, keep), lambda x: x * x),
}
