"""A normalisation that stands in the graph moves out of it, into the contract of the input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.depth import InputContract, Layout
from depthdeploy.graph.edit import bypass, constant, only_consumer, static_shape


@dataclass(frozen=True, slots=True)
class Normalization:
    """``(x - mean) / std`` per channel, in the units of ``x``."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def then(self, node: ir.Node, operand: NDArray[np.float64]) -> Normalization | None:
        """With one more operation behind it; ``None`` where the standard deviation would not stay positive."""
        match node.op_type:
            case "Sub":
                return replace(self, mean=self.mean + operand * self.std)
            case "Add":
                return replace(self, mean=self.mean - operand * self.std)
            case "Div":
                return replace(self, std=self.std * operand) if (operand > 0).all() else None
            case _:
                return replace(self, std=self.std / operand) if (operand > 0).all() else None


def extract_normalization(model: ir.Model, contract: InputContract) -> InputContract:
    """Take ``Sub``, ``Add``, ``Mul`` and ``Div`` by constants per channel out of a graph's beginning, in place.

    A target can then normalise as its own preprocessing, or the whole normalisation goes into the first layer. Values
    are rounded to float32 and written as short as float32 allows, so that a graph's 0.485 is read as 0.485.

    Returns:
        The contract that says what was taken out: photographs give the same depth as before. The same contract when the
        graph begins with nothing of the kind.
    """
    found = Normalization(np.asarray(contract.mean, np.float64), np.asarray(contract.std, np.float64))
    taken = False
    while True:
        node = only_consumer(model.graph.inputs[0])
        operand = None if node is None else _per_channel(node, model.graph.inputs[0], contract.layout)
        after = None if node is None or operand is None else found.then(node, operand)
        if node is None or after is None or not bypass(node, model.graph.inputs[0]):
            break
        found, taken = after, True
    return replace(contract, mean=_short(found.mean), std=_short(found.std)) if taken else contract


def _per_channel(node: ir.Node, image: ir.Value, layout: Layout) -> NDArray[np.float64] | None:
    """The constant operand as three values; ``None`` for other operators, shapes and orders of operands."""
    if node.domain != "" or node.op_type not in ("Sub", "Add", "Mul", "Div") or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    array = constant(right)
    if array is None and node.op_type in ("Add", "Mul"):
        left, array = right, constant(node.inputs[0])
    if left is not image or array is None or array.ndim > 4 or static_shape(node.outputs[0]) != static_shape(image):
        return None
    full = array.reshape([1] * (4 - array.ndim) + list(array.shape))
    axis = 1 if layout is Layout.NCHW else 3
    if any(size != 1 for index, size in enumerate(full.shape) if index != axis) or not np.isfinite(full).all():
        return None
    return np.broadcast_to(full.reshape(-1), (3,)).astype(np.float64)


def _short(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(str(np.float32(value))) for value in values)
    return red, green, blue
