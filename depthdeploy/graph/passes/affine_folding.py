"""Constant factors and terms per channel go into the layer before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import bypass, constant, main_nodes, only_consumer, set_constant, static_shape
from depthdeploy.graph.linear import Linear, linear

_OPERATORS = ("Mul", "Div", "Add", "Sub")


@dataclass(frozen=True, slots=True)
class AffineFolding:
    """``Mul``, ``Div``, ``Add``, ``Sub`` by a constant per channel after a layer go into its weight and bias.

    A factor also passes through the bias that is added to a ``MatMul``: so the layer scale of vision transformers
    (Touvron et al. 2021) vanishes. A term after a ``MatMul`` stays: it is the bias itself.
    """

    name: str = "affine-folding"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, *_OPERATORS):
            changed |= _fold(model, node) or _fold_through_bias(model, node)
        return changed


def _fold(model: ir.Model, node: ir.Node) -> bool:
    operands = _operands(node)
    before = None if operands is None else _layer(operands[0], node)
    if operands is None or before is None or not _same_shape(operands[0], node):
        return False
    factors = _factors(node, _per_channel(operands[1], before, static_shape(node.outputs[0])))
    if factors is None or (before.node.op_type == "MatMul" and factors[1].any()) or not bypass(node, operands[0]):
        return False
    before.apply(model, *factors)
    return True


def _fold_through_bias(model: ir.Model, node: ir.Node) -> bool:
    """``(x W + b) * g`` becomes ``x (W g) + b g``."""
    operands = _operands(node) if node.op_type in ("Mul", "Div") else None
    addition = None if operands is None or only_consumer(operands[0]) is not node else operands[0].producer()
    inner = _operands(addition) if addition is not None and addition.op_type == "Add" else None
    if operands is None or addition is None or inner is None or not _same_shape(inner[0], node):
        return False
    before = _layer(inner[0], addition)
    if before is None or before.node.op_type != "MatMul":
        return False
    shape = static_shape(node.outputs[0])
    bias = _per_channel(inner[1], before, shape)
    factors = _factors(node, _per_channel(operands[1], before, shape))
    position = 1 if addition.inputs[0] is inner[0] else 0
    if bias is None or factors is None or not bypass(node, operands[0]):
        return False
    set_constant(model, addition, position, (bias * factors[0]).astype(np.float32), "bias")
    before.apply(model, *factors)
    return True


def _operands(node: ir.Node | None) -> tuple[ir.Value, NDArray[np.generic]] | None:
    """The operand that changes and the one that does not; of ``Div`` and ``Sub`` the second must be the constant."""
    if node is None or node.domain != "" or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    array = constant(right)
    if array is None and node.op_type in ("Mul", "Add"):
        left, array = right, constant(node.inputs[0])
    return None if left is None or array is None or array.dtype != np.float32 else (left, array)


def _layer(value: ir.Value, reader: ir.Node) -> Linear | None:
    return linear(value.producer()) if only_consumer(value) is reader else None


def _same_shape(value: ir.Value, node: ir.Node) -> bool:
    shape = static_shape(value)
    return shape is not None and shape == static_shape(node.outputs[0])


def _per_channel(
    array: NDArray[np.generic], layer: Linear, shape: tuple[int, ...] | None
) -> NDArray[np.float64] | None:
    """A broadcast constant as ``[channels]``; ``None`` when it also varies along another axis."""
    if shape is None or array.ndim > len(shape):
        return None
    full = array.reshape([1] * (len(shape) - array.ndim) + list(array.shape))
    axis = layer.axis % len(shape)
    if any(size != 1 for index, size in enumerate(full.shape) if index != axis):
        return None
    return np.broadcast_to(full.reshape(-1), (layer.channels,)).astype(np.float64)


def _factors(
    node: ir.Node, operand: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Scale and shift that a node's constant operand stands for."""
    if operand is None:
        return None
    ones, zeros = np.ones_like(operand), np.zeros_like(operand)
    match node.op_type:
        case "Mul":
            return operand, zeros
        case "Div":
            return (1.0 / operand, zeros) if operand.all() else None
        case "Add":
            return ones, operand
        case _:
            return ones, -operand
