"""Operators that are linear in a constant weight: scale and shift of their output channels go into weight and bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import constant, given, set_constant

#: The operators; each has its weight at input 1 and, but for ``MatMul``, its bias at input 2.
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Linear:
    """A node with a constant float32 weight, and a constant bias or none.

    Attributes:
        node: the node.
        weight: its weight in ONNX's order.
        bias: ``[channels]`` float32, zeros when the node has none.
        channels: how many output channels.
    """

    node: ir.Node
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    channels: int

    @property
    def axis(self) -> int:
        """The axis of the output that counts channels, from the end for ``Gemm`` and ``MatMul``."""
        return 1 if self.node.op_type in ("Conv", "ConvTranspose") else -1

    def apply(self, model: ir.Model, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
        """Make the node give ``scale * y + shift``; both ``[channels]``. ``MatMul`` takes no shift.

        Computed in float64 and rounded once.
        """
        weight = self.weight.astype(np.float64) * self._broadcast(scale)
        set_constant(model, self.node, 1, weight.astype(np.float32), "weight")
        if self.node.op_type == "MatMul":
            return
        bias = self.bias.astype(np.float64) * scale + shift
        if given(self.node, 2) is not None or bias.any():
            set_constant(model, self.node, 2, bias.astype(np.float32), "bias")
        self.node.attributes.pop("beta", None)

    def _broadcast(self, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """A factor per output channel in the shape of the weight."""
        rank = self.weight.ndim
        match self.node.op_type:
            case "Conv":
                return scale.reshape(-1, *[1] * (rank - 1))
            case "ConvTranspose":  # [in, out / group, ...]: group g's inputs see group g's outputs
                group = self.node.attributes.get_int("group", 1) or 1
                per_group = scale.reshape(group, -1)
                rows = np.repeat(per_group, self.weight.shape[0] // group, axis=0)
                return rows.reshape(*rows.shape, *[1] * (rank - 2))
            case "Gemm":
                return scale.reshape(-1, 1) if self.node.attributes.get_int("transB", 0) else scale.reshape(1, -1)
            case _:
                return scale.reshape(1, -1)


def linear(node: ir.Node | None) -> Linear | None:
    """A node as :class:`Linear`; ``None`` when its weight or bias is not constant, or it is another operator."""
    if node is None or node.domain != "" or node.op_type not in LINEAR:
        return None
    weight = constant(node.inputs[1])
    if (
        weight is None
        or weight.dtype != np.float32
        or weight.ndim < 2
        or (node.op_type == "MatMul" and weight.ndim != 2)
    ):
        return None
    channels = _channels(node, weight.shape)
    bias = _bias(node, channels)
    return None if bias is None else Linear(node, weight.astype(np.float32, copy=False), bias, channels)


def _channels(node: ir.Node, shape: tuple[int, ...]) -> int:
    match node.op_type:
        case "Conv":
            return shape[0]
        case "ConvTranspose":
            return shape[1] * (node.attributes.get_int("group", 1) or 1)
        case "Gemm":
            return shape[0] if node.attributes.get_int("transB", 0) else shape[1]
        case _:
            return shape[1]


def _bias(node: ir.Node, channels: int) -> NDArray[np.float32] | None:
    """``[channels]``; ``None`` when it is not a constant, or not one value per channel."""
    present = given(node, 2)
    if present is None:
        return np.zeros(channels, dtype=np.float32)
    array = constant(present)
    if array is None or (node.op_type == "Gemm" and array.ndim == 2 and array.shape[0] != 1):
        return None
    factor = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
    return (np.broadcast_to(array.reshape(-1), (channels,)) * np.float32(factor or 0.0)).astype(np.float32)
