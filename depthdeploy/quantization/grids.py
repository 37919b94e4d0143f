"""The grids of weights and biases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.quant import BiasGrid, WeightGrid
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology

#: The largest int32. Biases are symmetric around 0.
_INT32 = float(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The constants of one node: its weight's grid, its bias's grid, and why a bias stays float (empty otherwise)."""

    weight: WeightGrid
    bias: BiasGrid | None
    float_bias: str = ""


def channel_axis(node: ir.Node, ndim: int) -> int | None:
    """The dimension of a weight that numbers the output channels; ``None`` when no single dimension does.

    ``Conv`` is ``[out, in/group, ...]``, ``ConvTranspose`` ``[in, out/group, ...]``, ``Gemm`` ``[out, in]`` with
    ``transB`` and ``[in, out]`` without, ``MatMul`` ``[in, out]``.
    """

    def attribute(name: str, default: int) -> int:
        found = node.attributes.get(name)
        return default if found is None else found.as_int()

    match node.op_type:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1 if attribute("group", 1) == 1 else None
        case "Gemm":
            return 0 if attribute("transB", 0) else 1
        case "MatMul":
            return 1 if ndim == 2 else None
        case _:
            return None


def covering_weight(weight: NDArray[np.floating], number_format: NumberFormat, axis: int | None) -> Grid:
    """The finest grid that holds every value of a weight, per channel along ``axis`` where the format has channels."""
    if axis is None or number_format.granularity is Granularity.TENSOR:
        per_tensor = replace(number_format, granularity=Granularity.TENSOR)
        return Grid.covering(float(weight.min()), float(weight.max()), per_tensor)
    others = tuple(dim for dim in range(weight.ndim) if dim != axis)
    return Grid.covering_channels(weight.min(axis=others), weight.max(axis=others), number_format, axis)


def parameters(node: ir.Node, number_format: NumberFormat, input_scale: float) -> Parameters | None:
    """The grids of a node's constants; ``None`` for a node without a constant weight (a product of two activations).

    Raises:
        QuantizationError: the weight holds NaN or infinity.
    """
    value = node.inputs[1] if node.op_type in topology.WEIGHTED else None
    array = topology.constant(value)
    if value is None or array is None:
        return None
    weight = np.asarray(array, dtype=np.float32)
    if not np.all(np.isfinite(weight)):
        raise QuantizationError(
            f"The weight {value.name} of {topology.label(node)} holds NaN or infinity.", "Check the checkpoint."
        )
    grid = covering_weight(weight, number_format, channel_axis(node, weight.ndim))
    line = WeightGrid(topology.label(node), topology.name_of(value), grid)
    third = node.inputs[2] if len(node.inputs) > 2 else None
    if third is None:
        return Parameters(line, None)
    bias = topology.constant(third)
    if bias is None or bias.ndim != 1 or len(grid.scale) not in (1, bias.size):
        return Parameters(line, None, "its bias is not one constant per output channel")
    line = raised(line, np.abs(np.asarray(bias, dtype=np.float64)), input_scale)
    scale = np.float32(input_scale) * np.asarray(line.grid.scale, dtype=np.float32)
    return Parameters(line, BiasGrid(line.node, topology.name_of(third), tuple(scale.tolist())))


def raised(line: WeightGrid, bias: NDArray[np.float64], input_scale: float) -> WeightGrid:
    """The weight's grid with the scale of every channel raised until its bias fits int32.

    Integer kernels add the bias in steps of input scale x weight scale. A channel of almost no weight has such fine
    steps that its bias would overflow; coarser weights cost it nothing, because its bias is all it gives.
    """
    scale = np.asarray(line.grid.scale, dtype=np.float64)
    magnitude = bias if scale.size == bias.size else np.full(scale.size, bias.max(initial=0.0))
    needed = magnitude / (input_scale * _INT32) * (1 + 2.0**-20)
    low = needed > scale
    if not low.any():
        return line
    raised = np.where(low, needed, scale).astype(np.float32)
    why = f"({int(low.sum())} scales raised: the bias would overflow int32)"
    return replace(line, grid=replace(line.grid, scale=tuple(raised.tolist())), why=why)
