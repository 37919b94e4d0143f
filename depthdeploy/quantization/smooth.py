"""SmoothQuant: outliers of activations become spread of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.graph_file import write_graph
from depthdeploy.quantization import topology
from depthdeploy.quantization.channels import ChannelStatistics, observe_channels
from depthdeploy.quantization.fan import Fan, Reader, layer_fans, norm_fans
from depthdeploy.quantization.projections import Vector, insert_elementwise, projection
from depthdeploy.quantization.tracing import static_shape
from depthdeploy.quantization.workbench import Prepared, Workbench


@dataclass(frozen=True, slots=True)
class SmoothQuant:
    r"""Scales per channel go from the activations that enter layers into the layers' weights.

    Channel ``c`` is divided by ``s_c = max|x_c|^alpha / max|w_c|^(1 - alpha)`` where it is made and multiplied by it
    where it is read (Xiao et al. 2023, *SmoothQuant*, eq. 4). It is made in the gamma and beta of a
    ``LayerNormalization``, or in the output channels of another layer from which only moves, ``Relu`` and the product
    with the weights of attention lie between: a column of ``A V`` is linear in the same column of ``V``. All layers
    that read one normalization (Q, K and V) share one ``s``, from all their weights. Behind GELU no division is free.

    Attributes:
        alpha: how much of the difficulty goes into the weights, in [0, 1]: 0.5 for most networks, 0.75 where a few
            channels hold values tens of times the rest (there, section 5.1).
        images: how many photographs are looked at.
        multiply: also divide where nothing can be folded, as behind GELU, by a ``Mul`` of its own. It costs a pass over
            the tensor in float.

    Raises:
        ValueError: a setting is outside its range.
    """

    alpha: float = 0.5
    images: int = 32
    multiply: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {self.alpha}")
        if self.images < 1:
            raise ValueError(f"images must be at least 1, got {self.images}")

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        """Rewrite the graph; its function stays, to rounding. A graph without such places is given back.

        Raises:
            QuantizationError: an activation is NaN or infinite.
            CalibrationError: there is no photograph.
            ModelError: the graph cannot be read.
            StorageError: the folder cannot be written.
        """
        stored = topology.load(model)
        layers = [fan for fan in layer_fans(stored.graph) if _observable(fan)]
        norms = [fan for fan in norm_fans(stored.graph) if _observable(fan)]
        others = _unfolded(stored.graph, (*layers, *norms)) if self.multiply else ()
        wanted = [topology.name_of(reader.input) for fan in (*layers, *norms) for reader in fan.readers]
        wanted += [topology.name_of(value) for value in others]
        if not wanted:
            return Prepared(model, "no layer reads activations that can be scaled")
        seen = observe_channels(model, bench.photographs.first(self.images), wanted)
        for fan in (
            *layers,
            *norms,
        ):  # layers first: the shares of Q, K and V in a norm's scales are then the final ones
            fan.divide(balance(_activations(fan, seen), fan.weight_magnitude(), self.alpha))
        for value in others:
            self._insert(value, seen[topology.name_of(value)].magnitude)
        out = bench.folder / "smooth.onnx"
        added = f", {len(others)} multiplications added" if others else ""
        detail = f"{len(norms)} normalizations and {len(layers)} layers smoothed with alpha {self.alpha:g}{added}"
        return Prepared(replace(model, path=out, sha256=write_graph(stored, out)), detail)

    def _insert(self, value: ir.Value, magnitude: Vector) -> None:
        layers = [layer for use in value.uses() if use.idx == 0 and (layer := projection(use.node)) is not None]
        weights = np.max([layer.input_magnitude() for layer in layers], axis=0)
        scale = balance(magnitude, weights, self.alpha)
        insert_elementwise("Mul", value, 1.0 / scale, [(layer.node, 0) for layer in layers])
        for layer in layers:
            layer.scale_inputs(scale)


def balance(activations: Vector, weights: Vector, alpha: float) -> Vector:
    """``s_c = max|x_c|^alpha / max|w_c|^(1 - alpha)``, all ``[channels]``; 1 where either is 0 and nothing is known."""
    known = (activations > 0) & (weights > 0)
    x, w = np.where(known, activations, 1.0), np.where(known, weights, 1.0)
    scale: Vector = x**alpha / w ** (1 - alpha)
    return np.where(known, scale, 1.0)


def _activations(fan: Fan, seen: Mapping[str, ChannelStatistics]) -> Vector:
    """The largest absolute value of each channel where layers read it."""
    found = [fan.by_origin(reader, seen[topology.name_of(reader.input)].magnitude) for reader in fan.readers]
    most: Vector = np.max(found, axis=0)
    return most


def _observable(fan: Fan) -> bool:
    return all(_channels_last(reader) for reader in fan.readers)


def _channels_last(reader: Reader) -> bool:
    """Whether channel statistics are those of the layer's channels: tokens, or images before a convolution."""
    shape = static_shape(reader.input)
    return shape is not None and (len(shape) == 4) == (reader.layer.node.op_type == "Conv")


def _unfolded(graph: ir.Graph, fans: tuple[Fan, ...]) -> tuple[ir.Value, ...]:
    """Token tensors that layers read and that no fan scales, in the graph's order."""
    done = {reader.input for fan in fans for reader in fan.readers}
    found: list[ir.Value] = []
    for node in graph:
        layer = projection(node)
        value = node.inputs[0] if layer is not None and node.op_type != "Conv" else None
        shape = static_shape(value)
        if value is not None and value.producer() is not None and shape is not None and len(shape) < 4:
            found.append(value)
    return tuple(value for value in dict.fromkeys(found) if value not in done)
