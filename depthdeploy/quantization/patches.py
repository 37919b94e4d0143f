"""Layers as matrix products: their weights as matrices, and samples of the patches that the matrices meet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.quantization.layers import Layer, integer, integers

Array = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Which values of its input a layer multiplies with one weight matrix per group.

    Attributes:
        groups: independent matrices.
        fan_in: rows of each: the values of one patch.
        kernel: of a convolution; all ones for layers that see one position at a time.
        strides: of a convolution.
        pads: zeros before every spatial axis.
        dilations: of a convolution.
        output: positions along every spatial axis; empty where channels are the last axis.
    """

    groups: int
    fan_in: int
    kernel: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    output: tuple[int, ...] = ()

    @property
    def pointwise(self) -> bool:
        """Whether a patch is one position, which padding never adds to."""
        return all(side == 1 for side in self.kernel) and not any(self.pads)


def geometry(layer: Layer) -> Geometry | None:
    """How a layer reads its input; ``None`` where that is no product of a matrix with patches of its input.

    A transposed convolution is one where its windows do not overlap: every input position then makes positions of the
    output of its own.
    """
    shape = layer.input.shape
    if shape is None or not shape.is_static():
        return None
    sides, weight = tuple(shape.numpy())[2:], layer.weight.shape
    match layer.node.op_type:
        case "Conv":
            return _convolution(layer, sides)
        case "ConvTranspose":
            kernel, ones = list(weight[2:]), [1] * len(sides)
            separate = integers(layer.node, "strides", ones) == kernel
            padded = any(any(integers(layer.node, name, [0])) for name in ("pads", "output_padding", "output_shape"))
            dilated = integers(layer.node, "dilations", ones) != ones
            if not separate or padded or dilated or _automatic(layer):
                return None
            whole = (1,) * len(sides)
            return Geometry(layer.groups, weight[0] // layer.groups, whole, whole, (0,) * len(sides), whole, sides)
        case "Gemm":
            return Geometry(1, weight[1 if integer(layer.node, "transB", 0) else 0])
        case _:
            return Geometry(1, weight[0]) if len(weight) == 2 else None


def _convolution(layer: Layer, sides: tuple[int, ...]) -> Geometry | None:
    kernel = layer.weight.shape[2:]
    rank = len(kernel)
    strides, dilations = (tuple(integers(layer.node, name, [1] * rank)) for name in ("strides", "dilations"))
    pads = tuple(integers(layer.node, "pads", [0] * 2 * rank))
    if _automatic(layer) or len(sides) != rank:
        return None
    output = tuple(
        (side + pads[axis] + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1
        for axis, side in enumerate(sides)
    )
    fan_in = layer.weight.shape[1] * math.prod(kernel)
    return Geometry(layer.groups, fan_in, kernel, strides, pads[:rank], dilations, output)


def _automatic(layer: Layer) -> bool:
    attribute = layer.node.attributes.get("auto_pad")
    return attribute is not None and attribute.as_string() != "NOTSET"


def as_matrices(layer: Layer, weight: Array) -> Array:
    """A weight of the layer's shape as ``[groups, fan in, rows]``: what one patch is multiplied with."""
    groups = layer.groups
    match layer.node.op_type:
        case "Conv":
            return weight.reshape(groups, weight.shape[0] // groups, -1).transpose(0, 2, 1)
        case "ConvTranspose":
            return weight.reshape(groups, weight.shape[0] // groups, -1)
        case "Gemm" if integer(layer.node, "transB", 0):
            return weight.T[None]
        case _:
            return weight[None]


def from_matrices(layer: Layer, matrices: Array) -> Array:
    """The inverse of :func:`as_matrices`."""
    match layer.node.op_type:
        case "Conv":
            return matrices.transpose(0, 2, 1).reshape(layer.weight.shape)
        case "Gemm" if integer(layer.node, "transB", 0):
            return np.asarray(matrices[0].T)
        case _:
            return matrices.reshape(layer.weight.shape)


def sample(
    activation: NDArray[np.generic], how: Geometry, positions: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Patches at random positions of one activation, ``[groups, fan in, positions]`` float32.

    Positions are drawn one from each of equal strata, so that they cover the whole; all are taken where there are no
    more than wanted.

    Args:
        activation: ``[N, channels, ...]``, or ``[..., channels]`` where the geometry has no spatial axes.
        how: the layer's geometry.
        positions: how many are wanted.
        rng: where to draw from.
    """
    array: NDArray[np.float32] = np.asarray(activation, dtype=np.float32)
    if not how.output:
        rows = array.reshape(-1, how.fan_in)
        return np.ascontiguousarray(rows[_strata(len(rows), positions, rng)].T)[None]
    count = math.prod(how.output)
    chosen = _strata(array.shape[0] * count, positions, rng)
    photo, place = chosen // count, np.unravel_index(chosen % count, how.output)
    channels = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)
    if how.pointwise:
        axes = zip(place, how.strides, strict=True)
        index = np.ravel_multi_index((photo, *(where * step for where, step in axes)), _batched(array))
        return channels[:, index].reshape(how.groups, how.fan_in, -1)
    taps = np.indices(how.kernel).reshape(len(how.kernel), -1, 1)
    found = [np.broadcast_to(photo, (taps.shape[1], len(photo)))]
    inside = np.ones_like(found[0], dtype=bool)
    for axis, where in enumerate(place):
        along = where * how.strides[axis] - how.pads[axis] + taps[axis] * how.dilations[axis]
        limit = array.shape[axis + 2]
        inside = inside & (along >= 0) & (along < limit)
        found.append(np.clip(along, 0, limit - 1))
    index = np.ravel_multi_index(tuple(found), _batched(array))
    patches: NDArray[np.float32] = channels[:, index] * inside.astype(np.float32)
    return patches.reshape(how.groups, how.fan_in, -1)


def _batched(array: Array) -> tuple[int, ...]:
    return (array.shape[0], *array.shape[2:])


def _strata(count: int, wanted: int, rng: np.random.Generator) -> NDArray[np.intp]:
    if count <= wanted:
        return np.arange(count)
    return ((np.arange(wanted) + rng.random(wanted)) * (count / wanted)).astype(np.intp).clip(max=count - 1)
