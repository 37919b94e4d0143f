"""Equalization of the operands of attention's products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.graph_file import write_graph
from depthdeploy.quantization import topology
from depthdeploy.quantization.channels import observe_channels
from depthdeploy.quantization.fan import Fan, layer_fans
from depthdeploy.quantization.projections import Projection, Vector, projection
from depthdeploy.quantization.smooth import balance
from depthdeploy.quantization.tracing import Channels, Reading, readings, static_shape
from depthdeploy.quantization.workbench import Prepared, Workbench


@dataclass(frozen=True, slots=True)
class MatMulEqualization:
    """Channels of queries and keys, and of values and the output projection, get equal ranges.

    A product of two activations contracts over channels: ``q_c k_c`` does not change when ``q_c`` is multiplied by
    ``s_c`` and ``k_c`` divided by it, and the factors fold into the projections that make queries and keys. With
    ``s_c = sqrt(max|k_c| / max|q_c|)`` both ranges become their geometric mean, as cross-layer equalization does it for
    weights (Nagel et al. 2019, *Data-Free Quantization*, eq. 11; here the ranges are those of activations, which have
    one scale per tensor). Values and the weights of the output projection are a pair of the same kind.

    A pair is left alone unless every channel of one tensor meets one channel of the other and is read by nobody else:
    so are rotary embeddings, normalized queries, and keys that several heads share.

    Attributes:
        images: how many photographs are looked at.

    Raises:
        ValueError: a setting is outside its range.
    """

    images: int = 32

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"images must be at least 1, got {self.images}")

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        """Rewrite the graph; its function stays, to rounding. A graph without such products is given back.

        Raises:
            QuantizationError: an activation is NaN or infinite.
            CalibrationError: there is no photograph.
            ModelError: the graph cannot be read.
            StorageError: the folder cannot be written.
        """
        stored = topology.load(model)
        products = tuple(_products(stored.graph))
        values = tuple(fan for fan in layer_fans(stored.graph) if _is_value(fan))
        origins = [layer.result for product in products for layer in (product.left, product.right)]
        origins += [fan.origin for fan in values]
        if not origins:
            return Prepared(model, "no product of two projections")
        seen = observe_channels(model, bench.photographs.first(self.images), [topology.name_of(one) for one in origins])
        ranges = {one: seen[topology.name_of(one)].magnitude for one in origins}
        for product in products:
            product.equalize(ranges[product.left.result], ranges[product.right.result])
        for fan in values:
            fan.divide(balance(ranges[fan.origin], fan.weight_magnitude(), 0.5))
        out = bench.folder / "matmul_equalization.onnx"
        detail = f"{len(products)} products of queries and keys and {len(values)} of values equalized"
        return Prepared(replace(model, path=out, sha256=write_graph(stored, out)), detail)


@dataclass(frozen=True, slots=True, eq=False)
class _Product:
    """A product of two activations: channel ``left_channels[i]`` of one meets ``right_channels[i]`` of the other."""

    left: Projection
    right: Projection
    left_channels: Channels
    right_channels: Channels

    def equalize(self, left: Vector, right: Vector) -> None:
        """Give both the geometric mean of their ranges; ``left`` and ``right`` are those of the layers' outputs."""
        q, k = left[self.left_channels], right[self.right_channels]
        known = (q > 0) & (k > 0)
        factor = np.sqrt(np.divide(k, q, out=np.ones_like(q), where=known))
        multiplier, divisor = np.ones(left.size), np.ones(right.size)
        multiplier[self.left_channels], divisor[self.right_channels] = factor, factor
        self.left.scale_outputs(multiplier)
        self.right.scale_outputs(1.0 / divisor)


@dataclass(frozen=True, slots=True, eq=False)
class _Operand:
    """What stands at one input of a product: where it comes from, and which other uses its channels have."""

    layer: Projection
    reading: Reading
    elsewhere: frozenset[int]


def _products(graph: ir.Graph) -> Iterator[_Product]:
    """Every product of the outputs of two layers whose channels meet in pairs."""
    operands: dict[tuple[ir.Node, int], _Operand] = {}
    for node in tuple(graph):
        layer = projection(node)
        if layer is not None and _is_tokens(layer.result):
            for operand in _operands(layer):
                if operand.reading.node is not None:
                    operands[operand.reading.node, operand.reading.index] = operand
    for node in tuple(graph):
        left, right = operands.get((node, 0)), operands.get((node, 1))
        found = None if left is None or right is None else _paired(left, right)
        if found is not None:
            yield found


def _operands(layer: Projection) -> Iterator[_Operand]:
    found = readings(layer.result, layer.channel_axis)
    for reading in found:
        if reading.node is not None and reading.node.op_type == "MatMul" and reading.channels.ndim > 1:
            others = (other.held.tolist() for other in found if other is not reading)
            yield _Operand(layer, reading, frozenset[int]().union(*others))


def _paired(left: _Operand, right: _Operand) -> _Product | None:
    rows, columns = left.reading.channels, right.reading.channels
    if (rows != rows[..., :1, :]).any() or (columns != columns[..., :1]).any():
        return None
    a, b = np.broadcast_arrays(rows[..., 0, :], columns[..., 0])
    pairs = np.unique(np.stack([a.reshape(-1), b.reshape(-1)]), axis=1)
    singles = all(np.unique(side).size == side.size for side in pairs)
    free = left.elsewhere.isdisjoint(pairs[0].tolist()) and right.elsewhere.isdisjoint(pairs[1].tolist())
    return _Product(left.layer, right.layer, pairs[0], pairs[1]) if singles and free else None


def _is_tokens(value: ir.Value) -> bool:
    shape = static_shape(value)
    return shape is not None and len(shape) != 4


def _is_value(fan: Fan) -> bool:
    return _is_tokens(fan.origin) and all("MatMul" in reader.through for reader in fan.readers)
