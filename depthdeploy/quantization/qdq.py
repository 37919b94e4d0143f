"""The only editor: a plan becomes QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from depthdeploy.core.capabilities import WIDE_OPSET
from depthdeploy.core.model import LegalModel, OnnxModel, QuantizedModel
from depthdeploy.core.quant import ActivationGrid, BiasGrid, QuantPlan, WeightGrid
from depthdeploy.errors import QuantizationError
from depthdeploy.graph_file import write_graph
from depthdeploy.quantization import topology

#: The oldest opset that ONNX Script's converter starts from.
_CONVERTIBLE = 18


def apply_plan(legal: LegalModel, plan: QuantPlan, out: Path) -> QuantizedModel:
    """Write the legal graph with the plan's Q/DQ nodes. The same graph and plan give the same bytes.

    Every activation of the plan gets one pair, read by all its consumers; weights are stored as integers and biases as
    int32, each behind a ``DequantizeLinear``. Names and interface of the graph stay.

    Args:
        legal: the graph that the plan was made for.
        plan: what to do.
        out: the file to write; it appears whole or not at all.

    A plan with 16-bit integers brings the graph to opset 21, the first whose Q/DQ nodes know them.

    Raises:
        QuantizationError: the plan names a tensor or node that the graph has not, or the graph's opset has no nodes for
            its formats and cannot be raised.
        StorageError: the file cannot be written.
    """
    return QuantizedModel(write_pairs(legal.model, plan, out), legal, _precision(plan), plan)


def write_pairs(model: OnnxModel, plan: QuantPlan, out: Path) -> OnnxModel:
    """``apply_plan`` on a graph of which nobody asks whether a target accepts it: how a plan is tried."""
    stored = topology.load(model)
    opset = _raise_opset(stored, model.opset, plan)
    _edit(stored.graph, plan)
    return replace(model, path=out, sha256=write_graph(stored, out), opset=opset)


def _precision(plan: QuantPlan) -> str:
    """What most of the network computes in: a few wider tensors of mixed precision do not make it another one."""
    activations = {line.grid.format.container for line in plan.activations}
    weights = {line.grid.format.container for line in plan.weights}
    return "int16" if activations == {16} or 16 in weights else "int8"


def _raise_opset(model: ir.Model, opset: int, plan: QuantPlan) -> int:
    """Bring a graph to the opset that a plan needs; the opset that it then has."""
    grids = [*(line.grid for line in plan.activations), *(line.grid for line in plan.weights)]
    wide = any(grid.format.container == 16 for grid in grids)
    needed = WIDE_OPSET if wide else 13
    if opset >= needed:
        return opset
    if wide and opset >= _CONVERTIBLE:
        from onnxscript import version_converter

        version_converter.convert_version(model, needed, fallback=False)
        if model.graph.opset_imports.get("") == needed:
            ShapeInferencePass()(model)
            return needed
    raise QuantizationError(
        f"The graph has opset {opset}; Q/DQ nodes of this plan need {needed}.",
        f"Convert the graph to opset {needed} first.",
    )


def _edit(graph: ir.Graph, plan: QuantPlan) -> None:
    values = {value.name: value for value in (*graph.inputs, *(out for node in graph for out in node.outputs))}
    nodes = {topology.label(node): node for node in graph}
    _check_names("tensor", (line.tensor for line in plan.activations), values)
    _check_names("node", [*(line.node for line in plan.weights), *(line.node for line in plan.biases)], nodes)
    for weight in plan.weights:
        _store(graph, nodes[weight.node], 1, _weight(nodes[weight.node], weight))
    for bias in plan.biases:
        _store(graph, nodes[bias.node], 2, _bias(nodes[bias.node], bias))
    for line in plan.activations:
        _insert_pair(graph, values[line.tensor], line)
    for name in [name for name, value in graph.initializers.items() if not tuple(value.uses())]:
        if not graph.initializers[name].is_graph_output():
            del graph.initializers[name]
    for node in reversed(tuple(graph)):
        if node.op_type == "Constant" and not any(tuple(value.uses()) for value in node.outputs):
            graph.remove(node)


def _check_names(kind: str, wanted: Iterable[str], present: Collection[str | None]) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise QuantizationError(
            f"The plan names {len(missing)} {kind}s that the graph has not: {', '.join(missing[:5])}.",
            "Apply a plan to the graph it was made for.",
        )


def _initializer(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    """A new initializer; a name that is taken gets as many underscores as make it new."""
    while name in graph.initializers:
        name += "_"
    tensor = ir.Tensor(np.ascontiguousarray(array) if array.ndim else array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _node(operator: str, name: str, inputs: tuple[ir.Value, ...], out: ir.Value, *, axis: int | None = None) -> ir.Node:
    attributes = [] if axis is None else [ir.AttrInt64("axis", axis)]
    return ir.Node("", operator, inputs, attributes, outputs=[out], name=name)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A constant as integers, with scales and zero points of the same length, or scalars."""

    integers: NDArray[np.integer]
    scale: NDArray[np.float32]
    zero: NDArray[np.integer]
    axis: int | None


def _steps(scale: tuple[float, ...], axis: int | None) -> NDArray[np.float32]:
    """Scales as the operators want them: a scalar per tensor, a vector per channel."""
    array = np.asarray(scale, dtype=np.float32)
    return array.reshape(()) if axis is None else array


def _weight(node: ir.Node, line: WeightGrid) -> _Stored:
    grid = line.grid
    weight = np.asarray(topology.constant(node.inputs[1]), dtype=np.float32)
    scale = _steps(grid.scale, grid.axis)
    zero = np.asarray(grid.zero_point, dtype=grid.format.dtype).reshape(scale.shape)
    return _Stored(grid.quantize(weight), scale, zero, grid.axis)


def _bias(node: ir.Node, line: BiasGrid) -> _Stored:
    bias = np.asarray(topology.constant(node.inputs[2]), dtype=np.float64)
    axis = None if len(line.scale) == 1 else 0
    scale = _steps(line.scale, axis)
    limit = 2**31 - 1
    integers = np.clip(np.rint(bias / scale.astype(np.float64)), -limit, limit).astype(np.int32)
    return _Stored(integers, scale, np.zeros(scale.shape, dtype=np.int32), axis)


def _store(graph: ir.Graph, node: ir.Node, slot: int, stored: _Stored) -> None:
    """Give a node a constant as integers behind a ``DequantizeLinear``."""
    old = node.inputs[slot]
    if old is None:
        raise QuantizationError(f"{topology.label(node)} has no input {slot}.", "Apply a plan to its own graph.")
    name = f"{topology.name_of(old)}_of_{topology.label(node)}"
    integers = _initializer(graph, f"{name}_quantized", stored.integers)
    scale = _initializer(graph, f"{name}_scale", stored.scale)
    zero = _initializer(graph, f"{name}_zero_point", stored.zero)
    real = ir.Value(name=f"{name}_dequantized", shape=old.shape, type=ir.TensorType(ir.DataType.FLOAT))
    inputs = (integers, scale, zero)
    graph.insert_before(node, _node("DequantizeLinear", f"{name}_DequantizeLinear", inputs, real, axis=stored.axis))
    node.replace_input_with(slot, real)


def _insert_pair(graph: ir.Graph, value: ir.Value, line: ActivationGrid) -> None:
    """One pair behind a tensor. The graph's output keeps its name: the float tensor before the pair gets another."""
    name = line.tensor
    scale = _initializer(graph, f"{name}_scale", _steps(line.grid.scale, None))
    stored = np.asarray(line.grid.zero_point[0], dtype=line.grid.format.dtype)
    zero = _initializer(graph, f"{name}_zero_point", stored)
    uses = tuple(value.uses())
    producer = value.producer()
    integers = ir.Value(
        name=f"{name}_quantized", shape=value.shape, type=ir.TensorType(zero.dtype or ir.DataType.UINT8)
    )
    real = ir.Value(name=f"{name}_dequantized", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT))
    pair = (
        _node("QuantizeLinear", f"{name}_QuantizeLinear", (value, scale, zero), integers),
        _node("DequantizeLinear", f"{name}_DequantizeLinear", (integers, scale, zero), real),
    )
    if producer is None:
        graph.insert_before(graph[0], pair)
    else:
        graph.insert_after(producer, pair)
    for use in uses:
        use.node.replace_input_with(use.idx, real)
    if value.is_graph_output() and producer is not None:
        value.name, real.name = f"{name}_float", name
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = real
