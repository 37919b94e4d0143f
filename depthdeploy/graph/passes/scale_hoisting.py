"""A constant factor behind moves or a product of activations goes into the layer that the values come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import bypass, constant, main_nodes, only_consumer, set_constant, static_shape
from depthdeploy.graph.linear import Linear, linear

_MOVES = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class ScaleHoisting:
    """``Mul`` and ``Div`` by one number travel back through moves and products of activations into a layer.

    Attention divides its scores by the square root of the head's width (Vaswani et al. 2017, section 3.2.1): here the
    query projection gives queries that are divided already. It saves an operation on the largest tensor of the block,
    keeps 16-bit scores small, and leaves integer kernels no constant factor to step aside for.
    """

    name: str = "scale-hoisting"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Mul", "Div"):
            changed |= _hoist(model, node)
        return changed


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where values come from: a layer, and the addition of its bias where that is a node of its own."""

    layer: Linear
    addition: ir.Node | None = None


def _hoist(model: ir.Model, node: ir.Node) -> bool:
    operand = _operand(node)
    if operand is None:
        return False
    value, factor = operand
    origin = _behind(value, node)
    if origin is None or not bypass(node, value):
        return False
    layer, addition = origin.layer, origin.addition
    layer.apply(model, np.full(layer.channels, factor), np.zeros(layer.channels))
    if addition is not None:
        position = 1 if constant(addition.inputs[0]) is None else 0
        bias = np.asarray(constant(addition.inputs[position]), dtype=np.float64)
        set_constant(model, addition, position, (bias * factor).astype(np.float32), "bias")
    return True


def _operand(node: ir.Node) -> tuple[ir.Value, float] | None:
    """The tensor that is scaled, and the factor; ``None`` for other factors than one finite number that is not 0."""
    left, right = node.inputs
    array = constant(right)
    if array is None and node.op_type == "Mul":
        left, array = right, constant(node.inputs[0])
    if left is None or not _is_number(array) or array is None or static_shape(left) != static_shape(node.outputs[0]):
        return None
    number = float(array.reshape(()))
    factor = number if node.op_type == "Mul" or number == 0 else 1.0 / number
    return (left, factor) if np.isfinite(factor) and factor != 0 else None


def _is_number(array: NDArray[np.generic] | None) -> bool:
    return array is not None and array.size == 1 and array.dtype == np.float32


def _behind(value: ir.Value, reader: ir.Node) -> _Origin | None:
    """The layer behind one move or product at least: what stands right behind a layer is folded by other rules."""
    node = value.producer()
    if node is None or node.domain != "" or only_consumer(value) is not reader:
        return None
    if node.op_type in _MOVES and node.inputs[0] is not None:
        return _layer(node.inputs[0], node)
    if node.op_type == "MatMul" and all(one is not None and constant(one) is None for one in node.inputs):
        for operand in node.inputs:
            found = None if operand is None else _layer(operand, node)
            if found is not None:
                return found
    return None


def _layer(value: ir.Value, reader: ir.Node) -> _Origin | None:
    node = value.producer()
    if only_consumer(value) is not reader or node is None:
        return None
    here = linear(node)
    if here is not None:
        return _Origin(here)
    biased = _biased(node)
    return biased if biased is not None else _behind(value, reader)


def _biased(node: ir.Node) -> _Origin | None:
    """A ``MatMul`` by a constant and the constant that is added to it."""
    if node.domain != "" or node.op_type != "Add":
        return None
    for one, other in (node.inputs, tuple(reversed(node.inputs))):
        bias = constant(other)
        if one is None or bias is None or bias.dtype != np.float32 or only_consumer(one) is not node:
            continue
        found = linear(one.producer())
        if found is not None and static_shape(one) == static_shape(node.outputs[0]):
            return _Origin(found, node)
    return None
