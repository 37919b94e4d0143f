"""Which operators take several photographs at once, joined along axis 0, though the graph says one.

The law that every function here keeps: the result is that of each photograph by itself, joined along axis 0. A function
that cannot keep it for a call says ``None``, and the photographs are computed one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Compute, Result, Stacked


def never(compute: Compute, call: Call) -> Result | None:
    """One photograph after the other."""
    return None


def elements(compute: Compute, call: Call) -> Result | None:
    """Functions of single elements of the first input."""
    return compute(call.attributes, *call.inputs) if call.only_first() else None


def samples(compute: Compute, call: Call) -> Result | None:
    """Axis 0 of the first input counts samples by definition; every other input is the same for all."""
    return compute(call.attributes, *call.inputs) if call.only_first() else None


def all_samples(compute: Compute, call: Call) -> Result | None:
    """Axis 0 of every input counts samples by definition."""
    return compute(call.attributes, *call.inputs) if all(call.stacked) else None


def broadcast(compute: Compute, call: Call) -> Result | None:
    """Functions of elements of inputs that are broadcast to one another: axis 0 must be the same of all."""
    shapes = [call.shape(slot) for slot in range(len(call.inputs))]
    rank = max(map(len, shapes))
    first = max((shape[0] for shape in shapes if len(shape) == rank), default=1)
    aligned: list[Tensor | None] = []
    for tensor, shape, stacked in zip(call.inputs, shapes, call.stacked, strict=True):
        if stacked and (len(shape) < rank or shape[0] != first):
            return None
        tiled = not stacked and len(shape) == rank and rank > 0 and shape[0] != 1 and tensor is not None
        aligned.append(tile(tensor, call.batch) if tiled and tensor is not None else tensor)
    return compute(call.attributes, *aligned)


def tile(tensor: Tensor, batch: int) -> Tensor:
    """A tensor that is the same for all photographs, joined along axis 0 once for each."""
    if tensor.shape[0] == 1:
        return tensor.expand(batch, *tensor.shape[1:])
    return tensor.repeat(batch, *[1] * (tensor.ndim - 1))


def within(axes: Callable[[Attributes, int, Call], list[int]]) -> Stacked:
    """Operators along some axes of the first input: axis 0 must not be one of them.

    Args:
        axes: the axes from attributes, the rank of the first input, and the call; negative ones count from the end.
    """

    def stacked(compute: Compute, call: Call) -> Result | None:
        rank = len(call.shape(0))
        touched = {axis % rank for axis in axes(call.attributes, rank, call)}
        return compute(call.attributes, *call.inputs) if call.only_first() and 0 not in touched else None

    return stacked


def axis(default: int) -> Callable[[Attributes, int, Call], list[int]]:
    """The one axis of the attribute ``axis``."""
    return lambda attributes, rank, call: [attributes.integer("axis", default)]


def reshaped(target: Callable[[Attributes, tuple[int, ...], Call], list[int]]) -> Stacked:
    """Operators that keep the order of the elements: the photograph stays the outermost axis.

    Args:
        target: the shape of the result for one photograph, from that of the input.
    """

    def stacked(compute: Compute, call: Call) -> Result | None:
        shape = target(call.attributes, call.shape(0), call)
        data = call.inputs[0]
        if data is None or not call.only_first() or not shape:
            return None
        return data.reshape(call.batch * shape[0], *shape[1:])

    return stacked


def concatenated(compute: Compute, call: Call) -> Result | None:
    """``Concat`` beside axis 0; what is the same for all photographs is repeated."""
    rank = len(call.shape(0))
    if call.attributes.integer("axis", 0) % rank == 0:
        return None
    pairs = zip(call.inputs, call.stacked, strict=True)
    tensors = [tensor if stacked or tensor is None else tile(tensor, call.batch) for tensor, stacked in pairs]
    return compute(call.attributes, *tensors)


def multiplied(compute: Compute, call: Call) -> Result | None:
    """``MatMul`` where axis 0 of the photographs is a row of the left matrix, or counts matrices."""
    left, right = call.shape(0), call.shape(1)
    rank = max(len(left), len(right))
    if len(left) == 2 and call.only_first() and len(right) <= 2:
        return compute(call.attributes, *call.inputs)
    if rank < 3:
        return None
    counts = {shape[0] for shape, stacked in zip((left, right), call.stacked, strict=True) if stacked}
    for shape, stacked in zip((left, right), call.stacked, strict=True):
        if stacked and len(shape) != rank:
            return None
        if not stacked and len(shape) == rank and shape[0] != 1:
            return None
    return compute(call.attributes, *call.inputs) if len(counts) == 1 else None


def joined(results: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """The outputs of each photograph, joined along axis 0."""
    return tuple(torch.cat(tensors) for tensors in zip(*results, strict=True))
