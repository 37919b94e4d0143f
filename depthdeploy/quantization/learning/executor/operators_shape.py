"""Operators that shape and move values without computing."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.batching import (
    concatenated,
    elements,
    reshaped,
    samples,
    within,
)
from depthdeploy.quantization.learning.executor.registry import (
    Attributes,
    Call,
    Compute,
    Operator,
    Registry,
    Result,
    host,
)


def axes_of(attributes: Attributes, given: Tensor | None, name: str = "axes") -> list[int] | None:
    """Numbers of an input or, in older opsets, of the attribute; ``None`` where neither is given."""
    if given is not None:
        return [int(item) for item in given.reshape(-1).tolist()]
    return attributes.integers(name) if attributes.has(name) else None


def _target(attributes: Attributes, shape: tuple[int, ...], call: Call) -> list[int]:
    given = call.inputs[1] if len(call.inputs) > 1 else None
    sizes = axes_of(attributes, given, "shape") or []
    if not attributes.integer("allowzero", 0):
        sizes = [shape[index] if size == 0 else size for index, size in enumerate(sizes)]
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        sizes = [math.prod(shape) // known if size == -1 else size for size in sizes]
    return sizes


def reshape(attributes: Attributes, x: Tensor, shape: Tensor | None = None) -> Tensor:
    """Another shape of the same elements; 0 keeps a size unless ``allowzero``, -1 is what is left."""
    return x.reshape(_target(attributes, tuple(x.shape), Call(attributes, [x, shape], (False, False), 1)))


def _flat(attributes: Attributes, shape: tuple[int, ...], call: Call | None = None) -> list[int]:
    axis = attributes.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return [math.prod(shape[:axis]), math.prod(shape[axis:])]


def flatten(attributes: Attributes, x: Tensor) -> Tensor:
    """A matrix: the axes before ``axis``, and the others."""
    return x.reshape(_flat(attributes, tuple(x.shape)))


def _squeezed(attributes: Attributes, shape: tuple[int, ...], call: Call) -> list[int]:
    axes = axes_of(attributes, call.inputs[1] if len(call.inputs) > 1 else None)
    gone = {axis % len(shape) for axis in axes} if axes is not None else {i for i, n in enumerate(shape) if n == 1}
    return [size for index, size in enumerate(shape) if index not in gone]


def squeeze(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Without axes of size one."""
    return x.reshape(_squeezed(attributes, tuple(x.shape), Call(attributes, [x, axes], (False, False), 1)))


def _unsqueezed(attributes: Attributes, shape: tuple[int, ...], call: Call) -> list[int]:
    axes = axes_of(attributes, call.inputs[1] if len(call.inputs) > 1 else None) or []
    rank = len(shape) + len(axes)
    new, rest = {axis % rank for axis in axes}, iter(shape)
    return [1 if index in new else next(rest) for index in range(rank)]


def unsqueeze(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """With more axes of size one."""
    return x.reshape(_unsqueezed(attributes, tuple(x.shape), Call(attributes, [x, axes], (False, False), 1)))


def transpose(attributes: Attributes, x: Tensor) -> Tensor:
    """The axes in another order; reversed where none is given."""
    return x.permute(attributes.integers("perm", list(reversed(range(x.ndim)))))


def _transposed(compute: Compute, call: Call) -> Result | None:
    order = call.attributes.integers("perm", list(reversed(range(len(call.shape(0))))))
    return compute(call.attributes, *call.inputs) if order and order[0] == 0 else None


def expand(attributes: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    """Broadcast to a shape, and the shape to it."""
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(shape.tolist())))


def _expanded(compute: Compute, call: Call) -> Result | None:
    data, shape = call.inputs[0], call.inputs[1]
    if data is None or shape is None or not call.only_first():
        return None
    own = call.shape(0)
    target = np.broadcast_shapes(own, tuple(shape.tolist()))
    if len(target) != len(own) or target[0] != own[0]:
        return None
    return data.expand(data.shape[0], *target[1:])


def tile(attributes: Attributes, x: Tensor, repeats: Tensor) -> Tensor:
    """Repeated along every axis."""
    return x.repeat(repeats.tolist())


def _repeated(attributes: Attributes, rank: int, call: Call) -> list[int]:
    repeats = axes_of(attributes, call.inputs[1]) or []
    return [axis for axis, count in enumerate(repeats) if count != 1]


def concat(attributes: Attributes, *tensors: Tensor) -> Tensor:
    """Joined along an axis."""
    return torch.cat(tensors, dim=attributes.integer("axis", 0))


def split(attributes: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Parts along an axis; equal ones where no sizes are given, the last of them smaller."""
    axis = attributes.integer("axis", 0)
    given = axes_of(attributes, sizes, "split")
    if given is None:
        part = -(-x.shape[axis] // attributes.integer("num_outputs", attributes.outputs))
        return tuple(torch.split(x, part, dim=axis))
    return tuple(torch.split(x, given, dim=axis))


def pixels(attributes: Attributes, x: Tensor) -> Tensor:
    """``DepthToSpace``: blocks of channels become pixels, channel by channel (CRD) or block by block (DCR)."""
    block = attributes.integer("blocksize", 1)
    if attributes.text("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    count, channels, height, width = x.shape
    parts = x.reshape(count, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(count, channels // block**2, height * block, width * block)


def channels(attributes: Attributes, x: Tensor) -> Tensor:
    """``SpaceToDepth``: blocks of pixels become channels, channel by channel (CRD) or block by block (DCR)."""
    block = attributes.integer("blocksize", 1)
    if attributes.text("mode", "DCR") == "CRD":
        return functional.pixel_unshuffle(x, block)
    count, depth, height, width = x.shape
    parts = x.reshape(count, depth, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(count, depth * block**2, height // block, width // block)


def identity(attributes: Attributes, x: Tensor) -> Tensor:
    """The tensor itself."""
    return x


def dropout(attributes: Attributes, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Result:
    """The tensor itself, as in every inference, and a mask that keeps all.

    Raises:
        QuantizationError: the node asks for elements to be dropped.
    """
    if training is not None and bool(training.item()) and (ratio is None or ratio.item() != 0):
        raise QuantizationError(
            f"The Dropout {attributes.node} is in training mode.", "Export the network in evaluation mode."
        )
    return (x, torch.ones_like(x, dtype=torch.bool)) if attributes.outputs > 1 else x


_AXIS = within(lambda attributes, rank, call: [attributes.integer("axis", 0)])

OPERATORS: Registry = {
    "Concat": Operator(concat, concatenated),
    "DepthToSpace": Operator(pixels, samples),
    "Dropout": Operator(dropout, elements, host(1, 2)),
    "Expand": Operator(expand, _expanded, host(1)),
    "Flatten": Operator(flatten, reshaped(_flat)),
    "Identity": Operator(identity, elements),
    "Reshape": Operator(reshape, reshaped(_target), host(1)),
    "SpaceToDepth": Operator(channels, samples),
    "Split": Operator(split, _AXIS, host(1)),
    "Squeeze": Operator(squeeze, reshaped(_squeezed), host(1)),
    "Tile": Operator(tile, within(_repeated), host(1)),
    "Transpose": Operator(transpose, _transposed),
    "Unsqueeze": Operator(unsqueeze, reshaped(_unsqueezed), host(1)),
}
