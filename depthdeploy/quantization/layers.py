"""The layers of a plan whose weight and bias may be changed: what closed-form corrections work on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid
from depthdeploy.core.quant import QuantPlan, WeightGrid
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import input_tensor

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer whose weight the plan stores as integers.

    Attributes:
        node: the ``Conv``, ``ConvTranspose``, ``Gemm`` or ``MatMul``.
        line: the grid of its weight.
        weight: the float weight, shaped as the operator has it.
        input: the tensor that it reads, behind a zero padding where there is one.
        grid: of that tensor; ``None`` where a plan leaves it float.
        bias: the initializer of its bias, or of the ``Add`` after a ``MatMul``; empty when it has none of its own, one
            value per output channel.
        owned: whether the weight is an initializer that nothing else reads, so that it may change.
    """

    node: ir.Node
    line: WeightGrid
    weight: NDArray[np.float32]
    input: ir.Value
    grid: Grid | None
    bias: str
    owned: bool

    @property
    def label(self) -> str:
        """What the plan calls it."""
        return self.line.node

    @property
    def groups(self) -> int:
        """Of a convolution; 1 for other layers."""
        return integer(self.node, "group", 1)

    @property
    def channels_last(self) -> bool:
        """Whether the last axis of the input numbers its channels; otherwise axis 1 does."""
        return self.node.op_type in ("Gemm", "MatMul")

    @property
    def rounding_error(self) -> Array:
        """What rounding to nearest on its grid adds to the weight."""
        grid = self.line.grid
        return grid.dequantize(grid.quantize(self.weight)).astype(np.float64) - self.weight


def planned_layers(graph: ir.Graph, plan: QuantPlan) -> tuple[Layer, ...]:
    """The layers of a plan in the graph's order.

    A bias is a layer's own where it is an initializer with one value per output channel that no other node reads.
    """
    lines = {line.node: line for line in plan.weights}
    grids = {line.tensor: line.grid for line in plan.activations}
    found: list[Layer] = []
    for node in graph:
        line = lines.get(topology.label(node)) if node.op_type in topology.WEIGHTED else None
        entering, weight = (node.inputs[0], topology.constant(node.inputs[1])) if line is not None else (None, None)
        if line is None or entering is None or weight is None:
            continue
        bias = _bias(node, output_channels(node, weight))
        grid, owned = grids.get(input_tensor(node)), _owned(node.inputs[1])
        found.append(Layer(node, line, np.asarray(weight, dtype=np.float32), entering, grid, bias, owned))
    return tuple(found)


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute of a node."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def integers(node: ir.Node, name: str, default: list[int]) -> list[int]:
    """A list of integers among the attributes of a node."""
    attribute = node.attributes.get(name)
    return default if attribute is None else list(attribute.as_ints())


def output_channels(node: ir.Node, weight: NDArray[np.generic]) -> int:
    """How many channels a weighted layer gives."""
    match node.op_type:
        case "Conv":
            return int(weight.shape[0])
        case "ConvTranspose":
            return int(weight.shape[1]) * integer(node, "group", 1)
        case "Gemm":
            return int(weight.shape[0 if integer(node, "transB", 0) else 1])
        case _:
            return int(weight.shape[-1])


def mean_output(layer: Layer, weight: NDArray[np.floating], means: Array) -> Array:
    """The mean over positions of what a layer gives, without its bias, ``[output channels]`` float64.

    What padding changes at the borders is neglected: every weight is taken to meet its channel's mean everywhere.

    Args:
        layer: the layer.
        weight: a weight of the layer's shape.
        means: of the channels of its input, ``[input channels]``.
    """
    wide = np.asarray(weight, dtype=np.float64)
    match layer.node.op_type:
        case "Conv":
            taps = wide.reshape(layer.groups, wide.shape[0] // layer.groups, wide.shape[1], -1).sum(axis=3)
            found = np.einsum("goi,gi->go", taps, means.reshape(layer.groups, -1))
        case "ConvTranspose":
            # every input position is spread over the kernel, and the output has strides times as many positions
            spread = math.prod(integers(layer.node, "strides", [1] * (wide.ndim - 2)))
            taps = wide.reshape(layer.groups, wide.shape[0] // layer.groups, wide.shape[1], -1).sum(axis=3)
            found = np.einsum("gio,gi->go", taps, means.reshape(layer.groups, -1)) / spread
        case "Gemm" if integer(layer.node, "transB", 0):
            found = wide @ means
        case _:
            found = means @ wide
    return np.asarray(found, dtype=np.float64).reshape(-1)


def _owned(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer() and not value.is_graph_input() and len(tuple(value.uses())) == 1


def _bias(node: ir.Node, channels: int) -> str:
    if node.op_type == "MatMul":
        following = topology.unit(node)[1:2]
        candidates = following[0].inputs if following and following[0].op_type == "Add" else ()
    else:
        candidates = node.inputs[2:3]
    for value in candidates:
        array = topology.constant(value)
        if value is not None and array is not None and array.size == channels and _owned(value):
            return topology.name_of(value)
    return ""
