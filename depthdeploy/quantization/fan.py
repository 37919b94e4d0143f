"""A tensor whose channels layers read, and the scales that go from its producer into those layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.quantization import topology
from depthdeploy.quantization.projections import Projection, Vector, present, projection, replace_constant
from depthdeploy.quantization.tracing import Channels, readings, static_shape


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A layer at the end of the way.

    Attributes:
        layer: the layer.
        channels: ``[in]``, the channel of the origin that each of its input channels holds.
        through: the computing operators on the way, as in :class:`~depthdeploy.quantization.tracing.Reading`.
    """

    layer: Projection
    channels: Channels
    through: frozenset[str]

    @property
    def input(self) -> ir.Value:
        """What the layer reads."""
        return present(self.layer.node, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """A tensor and the layers that read its channels.

    Attributes:
        source: the ``LayerNormalization`` that makes the tensor, or the layer.
        origin: the tensor.
        free: ``[channels]``, which of them layers alone read: those may be scaled.
        readers: the layers.
    """

    source: ir.Node | Projection
    origin: ir.Value
    free: NDArray[np.bool_]
    readers: tuple[Reader, ...]

    def whole(self) -> bool:
        """Whether every channel is read by layers alone."""
        return bool(self.free.all())

    def weight_magnitude(self) -> Vector:
        """The largest absolute weight that each channel meets in any of the layers, ``[channels]``."""
        most = np.zeros(self.free.size)
        for reader in self.readers:
            most = np.maximum(most, self.by_origin(reader, reader.layer.input_magnitude()))
        return most

    def by_origin(self, reader: Reader, magnitude: Vector) -> Vector:
        """A magnitude of a reader's input channels as one of the origin's, ``[channels]``."""
        most = np.zeros(self.free.size)
        np.maximum.at(most, reader.channels, magnitude)
        return most

    def divide(self, scale: Vector) -> None:
        """Divide the free channels by ``scale [channels]`` where they are made, and multiply where they are read."""
        scale = np.where(self.free, scale, 1.0)
        if isinstance(self.source, Projection):
            self.source.scale_outputs(1.0 / scale)
        else:
            for index in affine_inputs(self.source):
                replace_constant(self.source, index, affine(self.source, index) / scale)
        for reader in self.readers:
            reader.layer.scale_inputs(scale[reader.channels])


def norm_fans(graph: ir.Graph) -> Iterator[Fan]:
    """Every ``LayerNormalization`` over one dimension, the last, with constant gamma and beta, that layers read."""
    for node in tuple(graph):
        if node.op_type != "LayerNormalization" or node.domain not in ("", "ai.onnx") or not _plain(node):
            continue
        found = _fan(node, node.outputs[0], -1, computing=False)
        if found is not None:
            yield found


def layer_fans(graph: ir.Graph) -> Iterator[Fan]:
    """Every layer whose output channels reach other layers through ``Relu`` or products of activations alone."""
    for node in tuple(graph):
        layer = projection(node)
        if layer is None or node.op_type == "Conv":
            continue
        found = _fan(layer, layer.result, layer.channel_axis, computing=True)
        if found is not None:
            yield found


def affine_inputs(node: ir.Node) -> tuple[int, ...]:
    """The inputs of a ``LayerNormalization`` that hold gamma and, where there is one, beta."""
    return (1, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else (1,)


def affine(node: ir.Node, index: int) -> Vector:
    """Gamma or beta, ``[channels]``."""
    return np.asarray(topology.constant(node.inputs[index]), dtype=np.float64)


def _plain(node: ir.Node) -> bool:
    axis, shape = node.attributes.get("axis"), static_shape(node.inputs[0])
    last = shape is not None and (axis is None or axis.as_int() % len(shape) == len(shape) - 1)
    constants = [topology.constant(node.inputs[index]) for index in affine_inputs(node)]
    vectors = all(array is not None and array.ndim == 1 and array.dtype == np.float32 for array in constants)
    return last and vectors and not any(tuple(out.uses()) for out in node.outputs[1:])


def _fan(source: ir.Node | Projection, origin: ir.Value, axis: int, *, computing: bool) -> Fan | None:
    shape = static_shape(origin)
    if shape is None:
        return None
    free = np.ones(shape[axis], dtype=bool)
    readers: list[Reader] = []
    for reading in readings(origin, axis, computing=computing):
        layer = projection(reading.node) if reading.index == 0 else None
        channels = None if layer is None else reading.along(layer.channel_axis)
        if layer is None or channels is None:
            free[reading.held] = False
        else:
            readers.append(Reader(layer, channels, reading.through))
    return Fan(source, origin, free, tuple(readers)) if readers and free.any() else None
