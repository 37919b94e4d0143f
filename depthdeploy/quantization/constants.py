"""New values for the constants of a graph, and new grids for those of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import BiasGrid, QuantPlan, WeightGrid
from depthdeploy.errors import QuantizationError
from depthdeploy.graph_file import write_graph
from depthdeploy.quantization import topology
from depthdeploy.quantization.grids import raised
from depthdeploy.quantization.placement import source


def with_constants(model: OnnxModel, arrays: Mapping[str, NDArray[np.floating]], out: Path) -> OnnxModel:
    """Write the graph with other values in the named initializers.

    Args:
        model: the graph.
        arrays: initializer -> its new values, of the same shape; stored as float32.
        out: the file to write.

    Raises:
        QuantizationError: there is no such initializer, or its shape is another.
    """
    stored = topology.load(model)
    for name, array in arrays.items():
        value = stored.graph.initializers.get(name)
        if value is None or value.const_value is None or tuple(value.const_value.shape.numpy()) != array.shape:
            raise QuantizationError(f"The graph has no initializer {name} of shape {array.shape}.")
        value.const_value = ir.Tensor(np.ascontiguousarray(array, dtype=np.float32), name=name)
    return replace(model, path=out, sha256=write_graph(stored, out))


def with_grids(
    model: OnnxModel | ir.Model,
    plan: QuantPlan,
    *,
    weights: Mapping[str, Grid] | None = None,
    activations: Mapping[str, Grid] | None = None,
) -> QuantPlan:
    """The plan with other grids; the scales of biases follow, and weight scales are raised where a bias needs it.

    Args:
        model: the graph of the plan, with the biases that will be stored.
        plan: the plan to change.
        weights: node -> the grid of its weight.
        activations: tensor -> its grid.
    """
    new_weights, new_activations = dict(weights or {}), dict(activations or {})
    lines = tuple(replace(line, grid=new_activations.get(line.tensor, line.grid)) for line in plan.activations)
    scales = {line.tensor: line.grid.scale[0] for line in lines}
    nodes = {topology.label(node): node for node in topology.load(model).graph}
    biases = {line.node: line for line in plan.biases}
    weight_lines: list[WeightGrid] = []
    bias_lines: dict[str, BiasGrid] = {}
    for old in plan.weights:
        line = replace(old, grid=new_weights.get(old.node, old.grid))
        bias = biases.get(line.node)
        if bias is not None:
            node = nodes[line.node]
            step = scales[input_tensor(node)]
            line = raised(line, np.abs(np.asarray(topology.constant(node.inputs[2]), dtype=np.float64)), step)
            product = np.float32(step) * np.asarray(line.grid.scale, dtype=np.float32)
            bias_lines[line.node] = replace(bias, scale=tuple(product.tolist()))
        weight_lines.append(line)
    return replace(
        plan,
        activations=lines,
        weights=tuple(weight_lines),
        biases=tuple(bias_lines[line.node] for line in plan.biases),
    )


def carried(model: OnnxModel | ir.Model, new: QuantPlan, old: QuantPlan) -> QuantPlan:
    """A new plan with the grids that an earlier one found for the same tensors in the same formats."""
    weights = {line.node: line.grid for line in old.weights}
    activations = {line.tensor: line.grid for line in old.activations}
    return with_grids(
        model,
        new,
        weights={
            line.node: weights[line.node]
            for line in new.weights
            if line.node in weights and weights[line.node].format == line.grid.format
        },
        activations={
            line.tensor: activations[line.tensor]
            for line in new.activations
            if line.tensor in activations and activations[line.tensor].format == line.grid.format
        },
    )


def input_tensor(node: ir.Node) -> str:
    """The tensor whose grid a weighted node's input has."""
    first = node.inputs[0]
    if first is None:
        raise QuantizationError(f"{topology.label(node)} has no input.")
    return topology.name_of(source(first))
