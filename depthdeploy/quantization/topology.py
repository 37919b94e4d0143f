"""What the quantizer needs to know of a graph: constants, consumers, fused units, operators that only move values."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import ModelError
from depthdeploy.graph_file import read_graph

#: Operators with a constant weight that gets scales of its own, per output channel.
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

#: Activations that integer kernels absorb into the operator before them.
ACTIVATIONS = frozenset({"Relu", "Clip"})

#: Operators that an activation is absorbed into.
ABSORBING = WEIGHTED | {"Add"}

#: Operators that copy, order, select or average values between neighbours: the output needs no finer grid than the
#: input, so both share one, and what was observed of the input holds for the output.
PRESERVING = frozenset(
    {"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape", "Resize"}
    | {"Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
)

#: Of those, the ones whose output may span much less than their input: they are observed themselves.
SELECTING = frozenset({"Gather", "Slice", "Split"})


def load(model: OnnxModel | ir.Model) -> ir.Model:
    """The graph of a handle, read anew, with types and shapes; a graph already in memory is given back as it is.

    Raises:
        ModelError: the file is missing or not an ONNX graph.
    """
    if isinstance(model, ir.Model):
        return model
    stored = read_graph(model.path)
    ShapeInferencePass()(stored)
    return stored


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array of an initializer or of a ``Constant`` node; ``None`` for an activation or a missing input."""
    if value is None or (value.is_graph_input() and not value.is_initializer()):
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def is_activation(value: ir.Value | None) -> bool:
    """Whether a value is a float tensor that depends on the photograph."""
    if value is None or value.dtype not in (ir.DataType.FLOAT, None) or value.is_initializer():
        return False
    producer = value.producer()
    return value.is_graph_input() if producer is None else producer.op_type != "Constant"


def name_of(value: ir.Value) -> str:
    """A value's name.

    Raises:
        ModelError: it has none.
    """
    if not value.name:
        raise ModelError("The graph has a tensor without a name.", "Export it again with a current exporter.")
    return value.name


def label(node: ir.Node) -> str:
    """A node's name, or the name of its first output where it has none: what a plan calls it."""
    return node.name or name_of(node.outputs[0])


def operator(node: ir.Node) -> str:
    """The operator, with its domain unless that is ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def activation_inputs(node: ir.Node) -> tuple[ir.Value, ...]:
    """The inputs of a node that depend on the photograph, without repetition, in order.

    Of operators that preserve values only the data counts (``Concat`` has data in every input).
    """
    inputs = node.inputs[:1] if node.op_type in PRESERVING - {"Concat"} else node.inputs
    return tuple(dict.fromkeys(value for value in inputs if value is not None and is_activation(value)))


def preserves(node: ir.Node) -> bool:
    """Whether a node's outputs hold only values of its inputs, means of neighbours, or zeros."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in PRESERVING:
        return False
    if node.op_type == "Resize":
        mode = node.attributes.get("mode")
        outside = node.attributes.get("coordinate_transformation_mode")
        cropped = outside is not None and outside.as_string() == "tf_crop_and_resize"
        return (mode is None or mode.as_string() in ("nearest", "linear")) and not cropped
    return node.op_type != "Pad" or _pads_zeros(node)


def _pads_zeros(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return True  # reflect and edge repeat values
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    fill = constant(node.inputs[2])
    return fill is not None and not np.any(fill)


def bounds(node: ir.Node) -> tuple[float, float]:
    """What an activation function's output cannot leave: ``[0, inf]`` for ``Relu``, min and max of a ``Clip``."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    if node.op_type != "Clip":
        return -math.inf, math.inf
    limits = [constant(value) for value in node.inputs[1:3]] + [None, None]
    low = -math.inf if limits[0] is None else float(limits[0].reshape(-1)[0])
    high = math.inf if limits[1] is None else float(limits[1].reshape(-1)[0])
    return low, high


def _only_consumer(value: ir.Value) -> ir.Node | None:
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def _is_bias(node: ir.Node) -> bool:
    """An ``Add`` of a constant vector along the last dimension: the bias of a ``MatMul``."""
    arrays = [constant(value) for value in node.inputs]
    return node.op_type == "Add" and any(a is not None and a.size == a.shape[-1] for a in arrays if a is None or a.ndim)


def unit(node: ir.Node) -> tuple[ir.Node, ...]:
    """A node and what integer kernels absorb into it: the bias after a ``MatMul``, then one ``Relu`` or ``Clip``.

    Nothing between the nodes of a unit is quantized.
    """
    nodes = [node]
    if node.op_type not in ABSORBING:
        return (node,)
    following = _only_consumer(node.outputs[0])
    if following is not None and node.op_type == "MatMul" and _is_bias(following):
        nodes.append(following)
        following = _only_consumer(following.outputs[0])
    if following is not None and following.op_type in ACTIVATIONS:
        low, high = bounds(following)
        if low == 0 or (low < 0 < high):
            nodes.append(following)
    return tuple(nodes)


def absorbed(graph: ir.Graph) -> frozenset[ir.Node]:
    """The nodes that belong to the unit of a node before them."""
    return frozenset(member for node in graph for member in unit(node)[1:])


def computing(graph: ir.Graph) -> Iterator[ir.Node]:
    """The nodes that give at least one activation, in the graph's order."""
    return (node for node in graph if any(is_activation(value) for value in node.outputs))
