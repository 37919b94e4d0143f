"""The layers whose rounding is learned: which they are, and what each is as a product of matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.grid import Grid
from depthdeploy.core.quant import QuantPlan, WeightGrid
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import input_tensor
from depthdeploy.quantization.grids import channel_axis
from depthdeploy.quantization.learning.executor.registry import Attributes
from depthdeploy.quantization.learning.rounding import Problem
from depthdeploy.quantization.learning.solving import Solution
from depthdeploy.quantization.strip import Strip

#: The largest int32, and the room that a bias leaves below it so that no weight scale has to be raised.
_INT32, _ROOM = float(2**31 - 1), 1 + 2.0**-19


@dataclass(frozen=True, slots=True, eq=False)
class RoundedLayer:
    """A node with a weight on a grid.

    Attributes:
        name: the node's label.
        node: the node.
        attributes: its attributes.
        line: the weight's line of the plan.
        entry: the tensor that it reads.
        entry_grid: the grid of that tensor; ``None`` for floats.
        output: the tensor behind its unit.
        bounds: what the output cannot leave: of the activation function and of the output's grid.
        bias: the initializer of the bias; empty without one.
        bias_shape: of the bias.
        bias_limit: ``[outputs]``, the largest bias that int32 holds; empty where the bias is not to change.
        start: its place in the strip.
    """

    name: str
    node: ir.Node
    attributes: Attributes
    line: WeightGrid
    entry: str
    entry_grid: Grid | None
    output: str
    bounds: tuple[float, float]
    bias: str
    bias_shape: tuple[int, ...]
    bias_limit: NDArray[np.float64]
    start: int = 0

    @property
    def kind(self) -> str:
        """Its operator."""
        return self.node.op_type

    @property
    def weight(self) -> NDArray[np.float32]:
        """Its weight as the draft has it, in the operator's own layout."""
        return np.asarray(topology.constant(self.node.inputs[1]), dtype=np.float32)

    @property
    def exact(self) -> bool:
        """Whether the weight lies on its grid already: there is nothing to round up or down."""
        grid, weight = self.line.grid, self.weight
        return np.array_equal(grid.dequantize(grid.quantize(weight)), weight)

    @property
    def groups(self) -> int:
        """Groups of channels that do not see one another."""
        return self.attributes.integer("group", 1) if self.kind in ("Conv", "ConvTranspose") else 1

    def to_matrix(self, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """A weight as ``[groups, outputs, fan_in]``; the fan-in is ``[channels, kernel]``."""
        if self.kind == "Conv":
            return weight.reshape(self.groups, weight.shape[0] // self.groups, -1)
        if self.kind == "ConvTranspose":
            channels, outputs = weight.shape[0] // self.groups, weight.shape[1]
            apart = weight.reshape(self.groups, channels, outputs, -1)
            return np.ascontiguousarray(apart.transpose(0, 2, 1, 3)).reshape(self.groups, outputs, -1)
        return np.ascontiguousarray(weight if self._rows_are_outputs() else weight.T)[None]

    def from_matrix(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of :meth:`to_matrix`."""
        shape = self.weight.shape
        if self.kind == "Conv":
            return matrix.reshape(shape)
        if self.kind == "ConvTranspose":
            apart = matrix.reshape(self.groups, shape[1], shape[0] // self.groups, -1)
            return np.ascontiguousarray(apart.transpose(0, 2, 1, 3)).reshape(shape)
        return np.ascontiguousarray(matrix[0] if self._rows_are_outputs() else matrix[0].T)

    def _rows_are_outputs(self) -> bool:
        return self.kind == "Gemm" and bool(self.attributes.integer("transB", 0))

    def problem(self, bias: NDArray[np.float32] | None, device: str) -> Problem:
        """What is to be learned, on a device."""
        matrix = self.to_matrix(self.weight)
        groups, outputs = matrix.shape[:2]
        grid = self.line.grid
        each = 1 if grid.axis is None else groups * outputs
        scale = np.broadcast_to(np.asarray(grid.scale, dtype=np.float32), (each,))
        shape = (1, 1, 1) if each == 1 else (groups, outputs, 1)
        zero = np.broadcast_to(np.asarray(grid.zero_point, dtype=np.float32), (each,)).reshape(shape)
        limit = self.bias_limit if self.bias_limit.size else np.zeros(groups * outputs)

        def placed(array: NDArray[np.floating]) -> Tensor:
            return torch.tensor(np.asarray(array, dtype=np.float32), device=device)

        values = np.zeros(groups * outputs, dtype=np.float32) if bias is None else bias.reshape(-1)
        return Problem(
            placed(matrix),
            placed(scale.reshape(shape)),
            (placed(grid.format.qmin - zero), placed(grid.format.qmax - zero)),
            placed(np.broadcast_to(values, (groups * outputs,)).reshape(groups, outputs)),
            placed(limit.reshape(groups, outputs)),
            self.bounds,
        )

    def stored(self, solution: Solution) -> NDArray[np.float32]:
        """A solution's weight in the operator's layout, float32, exactly on its grid."""
        steps = self.from_matrix(solution.integers.cpu().numpy().astype(np.float64))
        grid = self.line.grid
        shape = [] if grid.axis is None else [-1 if dim == grid.axis % steps.ndim else 1 for dim in range(steps.ndim)]
        zero = np.asarray(grid.zero_point, dtype=np.float64).reshape(shape)
        return grid.dequantize((steps + zero).astype(grid.format.dtype))


def rounded_layers(strip: Strip, plan: QuantPlan) -> tuple[tuple[RoundedLayer, ...], tuple[str, ...]]:
    """The layers of a plan in the strip's order, and those that are left alone, each with the reason."""
    lines = {line.node: line for line in plan.weights}
    grids = {line.tensor: line.grid for line in plan.activations}
    integer = {line.node for line in plan.biases}
    opset = strip.opsets.get("", 23)
    found: list[RoundedLayer] = []
    left: list[str] = []
    for place, node in enumerate(strip.nodes):
        line = lines.get(topology.label(node))
        if line is None:
            continue
        reason = _unfit(node, line)
        if reason:
            left.append(f"{line.node} ({reason})")
        else:
            one = _layer(node, line, grids, integer, Attributes.of(node, opset))
            found.append(replace(one, start=place))
    return tuple(found), tuple(left)


def _unfit(node: ir.Node, line: WeightGrid) -> str:
    """Why a layer's rounding is not learned; empty if it can be."""
    value, weight = node.inputs[1], topology.constant(node.inputs[1])
    if value is None or weight is None or len(tuple(value.uses())) != 1:
        return "its weight is read by several nodes"
    if line.grid.axis is not None and line.grid.axis != channel_axis(node, weight.ndim):
        return "its grid is not one of output channels"
    return "" if node.op_type in ("Conv", "ConvTranspose") or weight.ndim == 2 else "its weight is no matrix"


def _layer(
    node: ir.Node, line: WeightGrid, grids: dict[str, Grid], integer: set[str], attributes: Attributes
) -> RoundedLayer:
    unit = topology.unit(node)
    output = topology.name_of(unit[-1].outputs[0])
    entry_grid, grid = grids.get(input_tensor(node)), grids.get(output)
    low, high = topology.bounds(unit[-1])
    if grid is not None:
        form, scale, zero = grid.format, grid.scale[0], grid.zero_point[0]
        low, high = max(low, (form.qmin - zero) * scale), min(high, (form.qmax - zero) * scale)
    entry = topology.name_of(node.inputs[0])  # type: ignore[arg-type]
    bias = _bias(node, unit, line, entry_grid, integer)
    return RoundedLayer(line.node, node, attributes, line, entry, entry_grid, output, (low, high), *bias)


def _bias(
    node: ir.Node, unit: tuple[ir.Node, ...], line: WeightGrid, entry: Grid | None, integer: set[str]
) -> tuple[str, tuple[int, ...], NDArray[np.float64]]:
    """The initializer of a unit's bias, its shape, and how large it may become: nothing where it is to stay."""
    nothing = np.zeros(0)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if node.op_type == "MatMul" and len(unit) > 1 and unit[1].op_type == "Add":
        value = next(one for one in unit[1].inputs if topology.constant(one) is not None)
    array = topology.constant(value)
    if value is None or array is None:
        return "", (), nothing
    name = topology.name_of(value)
    outputs = _outputs(node)
    if array.size != outputs or len(tuple(value.uses())) != 1:
        return name, array.shape, nothing
    if line.node not in integer or entry is None:
        return name, array.shape, np.full(outputs, np.finfo(np.float32).max)
    scale = np.broadcast_to(np.asarray(line.grid.scale, dtype=np.float64), (outputs,))
    return name, array.shape, entry.scale[0] * scale * _INT32 / _ROOM


def _outputs(node: ir.Node) -> int:
    weight = topology.constant(node.inputs[1])
    shape = () if weight is None else weight.shape
    group = node.attributes.get("group")
    groups = 1 if group is None else group.as_int()
    transposed = node.attributes.get("transB")
    match node.op_type:
        case "Conv":
            return int(shape[0])
        case "ConvTranspose":
            return int(shape[1]) * groups
        case "Gemm" if transposed is not None and transposed.as_int():
            return int(shape[0])
        case _:
            return int(shape[1])
