"""Outlets: further outputs of a graph, through which its activations are read whole, sampled, or as extremes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.quantization import topology

#: Every which row and column of a large tensor is sampled: an odd number, which meets all phases of what a decoder
#: enlarges twofold, and every ninth position.
_STRIDE = 3

#: Values from which on a tensor is sampled.
_LARGE = 1 << 15

#: Rows and columns, or tokens, that a sampled tensor has at least.
_LEAST_SIDE = 12


@dataclass(frozen=True, slots=True)
class Outlet:
    """The outputs of the tapped graph that stand for one tensor.

    Attributes:
        values: the output with all its values or a sample of them; empty when extremes are all that is read.
        extremes: outputs with the largest and, unless it is floored, the smallest value; empty when ``values`` has all.
        floored: nothing in the tensor is below 0, and 0 stands for its smallest value.
    """

    values: str
    extremes: tuple[str, ...] = ()
    floored: bool = False


#: Tensor -> what stands for it.
Outlets = Mapping[str, Outlet]


def write_outlets(
    model: OnnxModel, names: Sequence[str], path: Path, *, extremes: bool, whole: bool
) -> tuple[Outlets, Mapping[str, int]]:
    """Write the graph with outlets.

    A tensor of 32,768 values or more is sampled: every third row and column of an image, every third token of a
    sequence. Its smallest and largest value are exact all the same: the graph reduces them itself, while they are in
    the cache. The graph's own outputs are always read whole, because ONNX Runtime's reductions pass over NaN, and a NaN
    anywhere spreads to the output.

    Args:
        model: the graph.
        names: the tensors, the graph's input among them or not.
        path: the file to write.
        extremes: read the smallest and largest value of every tensor in place of any others.
        whole: read every tensor whole.

    Returns:
        Tensor -> outlet, and tensor -> bytes that are read.

    Raises:
        ModelError: the graph cannot be read.
    """
    graph_model = topology.load(model)
    graph = graph_model.graph
    values = {value.name: value for node in graph for value in node.outputs}
    ends = {value.name for value in graph.outputs}
    outlets: dict[str, Outlet] = {}
    sizes: dict[str, int] = {}
    for name in names:
        value = values.get(name)
        if value is None or name in ends:
            outlets[name] = Outlet(name)
            sizes[name] = 0 if value is None else _bytes(value)
        elif extremes and not whole:
            outlets[name] = _reduce(graph, value)
            sizes[name] = 4
        elif whole or (sampled := _thinned(graph, value)) is None:
            outlets[name] = Outlet(_expose(graph, value))
            sizes[name] = _bytes(value)
        else:
            outlets[name] = replace(_reduce(graph, value), values=sampled[0])
            sizes[name] = _bytes(value) // sampled[1]
    ir.save(graph_model, path, external_data=f"{path.name}.data")  # weights in a file of their own are not copied
    return outlets, sizes


def _thinned(graph: ir.Graph, value: ir.Value) -> tuple[str, int] | None:
    """An output with a sample of a large tensor, and how many times smaller it is; ``None`` for another tensor.

    A pooling with a window of one position picks positions in ONNX Runtime's blocked layout, without a copy.
    """
    if value.shape is None or not value.shape.is_static():
        return None
    shape = tuple(value.shape.numpy())
    if math.prod(shape) < _LARGE:
        return None
    out = ir.Value(name=f"{topology.name_of(value)}_sampled", type=ir.TensorType(ir.DataType.FLOAT))
    if len(shape) == 4 and min(shape[2:]) >= _LEAST_SIDE:
        attributes = [ir.AttrInt64s("kernel_shape", [1, 1]), ir.AttrInt64s("strides", [_STRIDE, _STRIDE])]
        node = ir.Node("", "MaxPool", [value], attributes, outputs=[out], name=f"{out.name}_MaxPool")
        smaller = _STRIDE**2
    elif len(shape) == 3 and shape[1] >= _LEAST_SIDE:
        limits = [[0], [shape[1]], [1], [_STRIDE]]
        inputs = [_integers(graph, f"{out.name}_{index}", found) for index, found in enumerate(limits)]
        node = ir.Node("", "Slice", [value, *inputs], [], outputs=[out], name=f"{out.name}_Slice")
        smaller = _STRIDE
    else:
        return None
    graph.append(node)
    graph.outputs.append(out)
    return topology.name_of(out), smaller


def _integers(graph: ir.Graph, name: str, values: Sequence[int]) -> ir.Value:
    tensor = ir.Tensor(np.asarray(values, dtype=np.int64), name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(ir.DataType.INT64), const_value=tensor)
    graph.register_initializer(value)
    return value


def _bytes(value: ir.Value) -> int:
    """Of float32 values; a tensor of unknown shape counts as none."""
    if value.shape is None or not value.shape.is_static():
        return 0
    return 4 * math.prod(value.shape.numpy())


def _expose(graph: ir.Graph, value: ir.Value) -> str:
    if value.type is None:
        value.type = ir.TensorType(ir.DataType.FLOAT)
    if not value.is_graph_output():
        graph.outputs.append(value)
    return topology.name_of(value)


def _reduce(graph: ir.Graph, value: ir.Value) -> Outlet:
    """An outlet with the largest and, unless nothing in it can be below 0, the smallest value of a tensor.

    A grid holds 0 in any case, so behind a ``Relu`` 0 stands for the smallest value and saves a pass over the tensor.
    ``GlobalMaxPool`` gives the largest value per channel: unlike ``ReduceMax`` it runs in ONNX Runtime's blocked
    layout, without a copy.
    """
    producer = value.producer()
    name = topology.name_of(value)
    images = value.shape is not None and len(value.shape) == 4
    largest = _append(graph, value, "GlobalMaxPool" if images else "ReduceMax", f"{name}_largest")
    if producer is not None and topology.bounds(producer)[0] == 0:
        return Outlet("", (largest,), floored=True)
    return Outlet("", (largest, _append(graph, value, "ReduceMin", f"{name}_smallest")))


def _append(graph: ir.Graph, value: ir.Value, operator: str, name: str) -> str:
    attributes = [] if operator == "GlobalMaxPool" else [ir.AttrInt64("keepdims", 0)]
    out = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
    graph.append(ir.Node("", operator, [value], attributes, outputs=[out], name=f"{name}_{operator}"))
    graph.outputs.append(out)
    return name
