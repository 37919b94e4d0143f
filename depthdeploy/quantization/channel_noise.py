"""How much quantization noise a choice of channel factors leaves: what equalization minimises.

The noise of a group is counted where its readers add it up, in the units of the float network:

- a tensor ``t`` on a grid of step ``D`` adds ``D^2 / 12`` to every element (uniform rounding noise), which a channel
  scaled by ``s`` feels as ``D^2 / (12 s^2)`` and readers multiply by the energy of their weights;
- a reader's weight, rounded to ``q``, adds ``|W/s - q|^2`` times the mean square of the scaled input.

The first wants channels of equal range (large factors for small channels), the second weights of equal range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.scheme import Scheme
from depthdeploy.quantization import topology
from depthdeploy.quantization.channels import ChannelStatistics
from depthdeploy.quantization.grids import channel_axis, covering_weight
from depthdeploy.quantization.placement import source

Vector = NDArray[np.float64]


def attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    found = node.attributes.get(name)
    return default if found is None else found.as_int()


def weight_of(node: ir.Node) -> Vector:
    """A layer's weight, float64."""
    return np.asarray(topology.constant(node.inputs[1]), dtype=np.float64)


def over_inputs(node: ir.Node, factor: Vector) -> Vector:
    """A factor per input channel, shaped so that it multiplies a layer's weight."""
    return _shaped(node, factor, first=node.op_type == "ConvTranspose")


def over_outputs(node: ir.Node, factor: Vector) -> Vector:
    """A factor per output channel, shaped so that it multiplies a layer's weight."""
    return _shaped(node, factor, first=node.op_type == "Conv")


def by_input(node: ir.Node, values: Vector, fold: np.ufunc = np.add) -> Vector:
    """An array shaped as a layer's weight, folded (summed by default) over all but its input channels, ``[in]``."""
    return _folded(node, values, fold, first=node.op_type == "ConvTranspose")


def by_output(node: ir.Node, values: Vector, fold: np.ufunc = np.add) -> Vector:
    """Likewise over all but its output channels, ``[out]``."""
    return _folded(node, values, fold, first=node.op_type == "Conv")


def _shaped(node: ir.Node, factor: Vector, *, first: bool) -> Vector:
    """A factor per channel of a weight's first dimension, or of the second, which counts within a group."""
    weight = topology.constant(node.inputs[1])
    assert weight is not None
    shape = weight.shape
    spatial = (1,) * (len(shape) - 2)
    if first:
        return factor.reshape(-1, 1, *spatial)
    group = attribute(node, "group", 1)
    rows = np.repeat(factor.reshape(group, 1, -1), shape[0] // group, axis=1)
    return rows.reshape(*shape[:2], *spatial)


def _folded(node: ir.Node, values: Vector, fold: np.ufunc, *, first: bool) -> Vector:
    if first:
        return np.asarray(fold.reduce(values.reshape(values.shape[0], -1), axis=1))
    group = attribute(node, "group", 1)
    parts = values.reshape(group, values.shape[0] // group, values.shape[1], -1)
    return np.asarray(fold.reduce(parts, axis=(1, 3))).reshape(-1)


@dataclass(frozen=True, slots=True, eq=False)
class GroupNoise:
    """The noise of one group as a function of its factors.

    Attributes:
        tensors: the statistics of its tensors on grids.
        readers: its readers.
        inputs: the mean squares of each reader's input channels, ``[in]``.
        energy: the energy of the readers' weights by input channel, ``[in]``.
        scheme: the number formats.
        ceiling: what a ``Clip`` cuts the scaled channels at.
    """

    tensors: tuple[ChannelStatistics, ...]
    readers: tuple[ir.Node, ...]
    inputs: tuple[Vector, ...]
    energy: Vector
    scheme: Scheme
    ceiling: float

    @classmethod
    def of(
        cls,
        readers: Sequence[ir.Node],
        tensors: Sequence[str],
        observed: Mapping[str, ChannelStatistics],
        scheme: Scheme,
        ceiling: float,
    ) -> GroupNoise:
        """From what was observed of the group's tensors on grids."""
        statistics = tuple(observed[name] for name in tensors)
        inputs = tuple(_mean_square(node, observed, statistics[-1]) for node in readers)
        energy = np.sum([by_input(node, weight_of(node) ** 2) for node in readers], axis=0)
        return cls(statistics, tuple(readers), inputs, energy, scheme, ceiling)

    def __call__(self, factors: Vector) -> float:
        """The noise that the factors ``[channels]`` leave, in squared units of the readers' outputs."""
        return self._of_activations(factors) + self._of_weights(factors)

    def _of_activations(self, factors: Vector) -> float:
        felt = float((self.energy / factors**2).sum())
        return sum(self._step(one, factors) ** 2 / 12 for one in self.tensors) * felt

    def _step(self, one: ChannelStatistics, factors: Vector) -> float:
        high = min(float((one.high * factors).max()), self.ceiling)
        return Grid.covering(float((one.low * factors).min()), max(high, 0.0), self.scheme.activations).scale[0]

    def _of_weights(self, factors: Vector) -> float:
        total = 0.0
        for node, square in zip(self.readers, self.inputs, strict=True):
            scaled = weight_of(node) / over_inputs(node, factors)
            error = by_input(node, rounding_error(node, scaled, self.scheme.weights) ** 2)
            total += float((error * factors**2 * square).sum())
        return total


def rounding_error(node: ir.Node, weight: Vector, number_format: NumberFormat) -> Vector:
    """What a layer's weight loses on the finest grid that covers it."""
    axis = channel_axis(node, weight.ndim) if number_format.granularity is Granularity.CHANNEL else None
    grid = covering_weight(weight, number_format, axis)
    shape = [1] * weight.ndim
    if grid.axis is not None:
        shape[grid.axis] = -1
    scale = np.asarray(grid.scale).reshape(shape)
    error: Vector = np.rint(weight / scale) * scale - weight
    return error


def _mean_square(node: ir.Node, observed: Mapping[str, ChannelStatistics], other: ChannelStatistics) -> Vector:
    first = node.inputs[0]
    assert first is not None
    return observed.get(topology.name_of(source(first)), other).mean_square
