"""Layers with a constant matrix - ``MatMul``, ``Gemm``, dense ``Conv`` - and the scaling of their channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.errors import ModelError
from depthdeploy.quantization import topology

Vector = NDArray[np.float64]

_OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True, slots=True)
class Projection:
    """A node that multiplies the channels of its first input by a constant, and the addition of its bias.

    The constants are read anew at every use, so that several rewrites may follow one another.

    Attributes:
        node: the node; its weight is at input 1.
        addition: the ``Add`` of the bias of a ``MatMul``, where there is one.
        in_axis: the dimension of the weight that numbers the input channels.
        out_axis: the dimension of the weight that numbers the output channels.
    """

    node: ir.Node
    addition: ir.Node | None
    in_axis: int
    out_axis: int

    @property
    def weight(self) -> Vector:
        """The weight in ONNX's order, float64."""
        return np.asarray(topology.constant(self.node.inputs[1]), dtype=np.float64)

    @property
    def channel_axis(self) -> int:
        """The dimension of the first input, and of the result, that numbers channels."""
        return 1 if self.node.op_type == "Conv" else -1

    @property
    def result(self) -> ir.Value:
        """The output, behind the bias."""
        return (self.addition or self.node).outputs[0]

    def input_magnitude(self) -> Vector:
        """The largest absolute weight of every input channel, ``[in]``."""
        weight = np.abs(np.moveaxis(self.weight, self.in_axis, 0))
        magnitude: Vector = weight.reshape(weight.shape[0], -1).max(axis=1)
        return magnitude

    def scale_inputs(self, factor: Vector) -> None:
        """Multiply what the layer does with each input channel by ``factor [in]``."""
        replace_constant(self.node, 1, self.weight * _along(factor, self.in_axis, self.weight.ndim))

    def scale_outputs(self, factor: Vector) -> None:
        """Multiply each output channel by ``factor [out]``, its bias too."""
        replace_constant(self.node, 1, self.weight * _along(factor, self.out_axis, self.weight.ndim))
        place = self._bias_place()
        if place is not None:
            bias = np.asarray(topology.constant(place[0].inputs[place[1]]), dtype=np.float64)
            replace_constant(*place, bias * factor)

    def response(self, shift: Vector) -> Vector:
        """What a constant ``shift [in]`` of the input adds to every output channel, ``[out]``.

        Only without padding: at the border of an image zeros stand for the shift.
        """
        weight = np.moveaxis(self.weight, (self.out_axis, self.in_axis), (0, 1))
        added: Vector = weight.reshape(*weight.shape[:2], -1).sum(axis=2) @ shift
        return added

    def add_bias(self, shift: Vector) -> None:
        """Add ``shift [out]`` to the output; a layer without a bias gets one."""
        place = self._bias_place()
        if place is not None:
            bias = np.asarray(topology.constant(place[0].inputs[place[1]]), dtype=np.float64)
            replace_constant(*place, bias + shift)
        elif self.node.op_type == "MatMul":
            _insert_addition(self.node, shift)
        else:
            self.node.resize_inputs(3)
            self.node.replace_input_with(2, new_initializer(self.node, f"{topology.label(self.node)}.bias", shift))

    def padded(self) -> bool:
        """Whether zeros are added around the input."""
        pads = self.node.attributes.get("pads")
        auto = self.node.attributes.get("auto_pad")
        return (pads is not None and any(pads.as_ints())) or (
            auto is not None and auto.as_string() not in ("NOTSET", "VALID")
        )

    def _bias_place(self) -> tuple[ir.Node, int] | None:
        """The node that reads the bias, and at which input."""
        if self.addition is not None:
            return self.addition, 1 if topology.constant(self.addition.inputs[0]) is None else 0
        return (self.node, 2) if len(self.node.inputs) > 2 and self.node.inputs[2] is not None else None


def projection(node: ir.Node | None) -> Projection | None:
    """A node as :class:`Projection`; ``None`` when its constants are not of the plain forms that can be scaled."""
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _OPERATORS:
        return None
    weight = topology.constant(node.inputs[1])
    if weight is None or weight.dtype != np.float32 or not topology.is_activation(node.inputs[0]):
        return None
    third = node.inputs[2] if len(node.inputs) > 2 else None
    bias = None if third is None else topology.constant(third)
    if third is not None and (bias is None or bias.ndim != 1):
        return None
    match node.op_type:
        case "Conv":
            group = node.attributes.get("group")
            return Projection(node, None, 1, 0) if group is None or group.as_int() == 1 else None
        case "Gemm":
            return _gemm(node, None if bias is None else bias.size)
        case _:
            return Projection(node, _addition(node, weight.shape[1]), 0, 1) if weight.ndim == 2 else None


def _gemm(node: ir.Node, bias: int | None) -> Projection | None:
    defaults = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    if any(name in node.attributes and node.attributes[name].value != value for name, value in defaults.items()):
        return None
    turned = node.attributes.get("transB")
    in_axis, out_axis = (1, 0) if turned is not None and turned.as_int() else (0, 1)
    found = Projection(node, None, in_axis, out_axis)
    return found if bias in (None, found.weight.shape[out_axis]) else None


def _addition(node: ir.Node, channels: int) -> ir.Node | None:
    """The ``Add`` of one constant per channel that alone reads a ``MatMul``."""
    members = topology.unit(node)
    following = members[1] if len(members) > 1 and members[1].op_type == "Add" else None
    if following is None:
        return None
    constants = [array for array in map(topology.constant, following.inputs) if array is not None]
    fits = len(constants) == 1 and constants[0].size == constants[0].shape[-1] == channels
    return following if fits and constants[0].dtype == np.float32 else None


def _along(factor: Vector, axis: int, ndim: int) -> Vector:
    return factor.reshape([-1 if index == axis else 1 for index in range(ndim)])


def replace_constant(node: ir.Node, index: int, array: NDArray[np.floating]) -> None:
    """Give a node other values for a constant of the same shape, float32; other readers of the old one keep it."""
    old = present(node, index)
    values = np.ascontiguousarray(array, dtype=np.float32)
    if old.is_initializer() and len(tuple(old.uses())) == 1 and not old.is_graph_output():
        old.const_value = ir.Tensor(values, name=old.name)
        return
    name = f"{topology.name_of(old)}_of_{topology.label(node)}"
    node.replace_input_with(index, new_initializer(node, name, values))


def present(node: ir.Node, index: int) -> ir.Value:
    """An input that the operator cannot do without.

    Raises:
        ModelError: it is missing.
    """
    value = node.inputs[index]
    if value is None:
        raise ModelError(f"{topology.label(node)} has no input {index}.", "Export the graph again.")
    return value


def new_initializer(node: ir.Node, name: str, array: NDArray[np.floating]) -> ir.Value:
    """A float32 constant of a node's graph; a name that is taken gets as many underscores as make it new."""
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise ModelError(f"{topology.label(node)} lies in a function.", "Canonicalize the graph first.")
    name = unused_name(graph, name)
    tensor = ir.Tensor(np.ascontiguousarray(array, dtype=np.float32), name=name)
    kind = ir.TensorType(ir.DataType.FLOAT)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=kind, const_value=tensor)
    graph.register_initializer(value)
    return value


def unused_name(graph: ir.Graph, name: str) -> str:
    """A name that no value of a graph has: underscores are appended to one that is taken."""
    taken = {value.name for node in graph for value in node.outputs} | {value.name for value in graph.inputs}
    while name in taken or name in graph.initializers:
        name += "_"
    return name


def insert_elementwise(
    operator: str, value: ir.Value, array: NDArray[np.floating], readers: Sequence[tuple[ir.Node, int]]
) -> ir.Node:
    """Put ``value (operator) constant`` between a tensor and some of its readers.

    Args:
        operator: ``Add`` or ``Mul``.
        value: a node's output.
        array: the constant; its shape broadcasts into the tensor's.
        readers: the nodes, and at which input, that shall read the result.
    """
    producer = value.producer()
    graph = None if producer is None else producer.graph
    if producer is None or not isinstance(graph, ir.Graph):
        raise ModelError(f"{value.name} is no node's output.", "Canonicalize the graph first.")
    base = f"{topology.name_of(value)}_{operator.lower()}"
    constant = new_initializer(producer, f"{base}_constant", array)
    out = ir.Value(name=unused_name(graph, base), shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.Node("", operator, [value, constant], outputs=[out], name=out.name)
    graph.insert_after(producer, node)
    for reader, index in readers:
        reader.replace_input_with(index, out)
    return node


def _insert_addition(node: ir.Node, shift: Vector) -> None:
    value = node.outputs[0]
    insert_elementwise("Add", value, shift, [(use.node, use.idx) for use in value.uses()])
