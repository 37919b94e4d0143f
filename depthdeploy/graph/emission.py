"""New nodes in the place of one, of the element type and shape that ONNX infers for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import bypass, constant
from depthdeploy.graph.replacement import Replacement, opset, prune

#: What an attribute of an operator may be given as.
Attribute = int | float | str | Sequence[int] | Sequence[float]

#: Constants of more elements say nothing of a shape.
_SHAPE_ELEMENTS: Final = 64


class Emission:
    """Nodes that stand in for one: in its graph, right before it, named after it.

    Args:
        model: the graph that is edited.
        node: what goes away when :meth:`finish` is called.
        version: the operator set that the new nodes are of; the graph's own by default.
    """

    def __init__(self, model: ir.Model, node: ir.Node, version: int | None = None) -> None:
        self.model, self.node = model, node
        self.version = opset(model) if version is None else version
        self._parts = Replacement(model, node)

    def emit(self, operator: str, *inputs: ir.Value | None, what: str, **attributes: Attribute) -> ir.Value:
        """The output of a new node."""
        to = attributes.get("to") if operator == "Cast" else None
        dtype = ir.DataType(to) if isinstance(to, int) else None
        said = ir.convenience.convert_attributes(attributes)
        value = self._parts.make(operator, inputs, what, dtype=dtype, attributes=said)
        self._infer(value)
        return value

    def copy(self, node: ir.Node, inputs: Sequence[ir.Value | None], what: str) -> tuple[ir.Value, ...]:
        """The outputs of a copy of a node of another graph, of the shapes that it has there."""
        first = self._parts.make(node.op_type, inputs, what, attributes=node.attributes.values())
        made = first.producer()
        if made is None:
            return (first,)
        made.resize_outputs(len(node.outputs))
        for index, (old, new) in enumerate(zip(node.outputs, made.outputs, strict=True)):
            new.shape, new.type = old.shape, old.type
            new.name = first.name if index == 0 else f"{first.name}_{index}" if old.name else ""
        return tuple(made.outputs)

    def constant(self, array: NDArray[np.generic], what: str) -> ir.Value:
        """A new constant."""
        return self._parts.constant(array, what)

    def whole(self, numbers: Sequence[int], what: str) -> ir.Value:
        """A list of whole numbers: axes, sizes, a shape."""
        return self.constant(np.array(numbers, dtype=np.int64), what)

    def number(self, value: float, what: str, *, like: ir.Value) -> ir.Value:
        """A scalar of the element type of ``like``."""
        return self._parts.number(value, what, like=like)

    def cast(self, value: ir.Value, dtype: ir.DataType, what: str) -> ir.Value:
        """The value in another element type; itself where it has that type."""
        return value if value.dtype == dtype else self.emit("Cast", value, what=what, to=dtype.value)

    def finish(self, value: ir.Value, index: int = 0) -> None:
        """``value`` takes the place and name of an output; the node goes with the last of them."""
        made_here = value.producer() is not None and not value.uses() and not value.is_graph_output()
        if not made_here:  # it keeps its own name, for those who read it already
            if index == 0 and len(self.node.outputs) == 1 and bypass(self.node, value):
                return
            value = self.emit("Identity", value, what="same")
        self._parts.finish(value, index)

    def finish_all(self, values: Sequence[ir.Value | None]) -> None:
        """:meth:`finish` for every output; those that nobody reads may have no successor."""
        for index, value in enumerate(values):
            output = self.node.outputs[index]
            if value is not None and (output.uses() or output.is_graph_output()):
                self.finish(value, index)
        for value in values:
            if value is not None and value.producer() is not None and not value.uses():
                self._drop(value)

    def _drop(self, value: ir.Value) -> None:
        producer = value.producer()
        if producer is not None and not value.is_graph_output():
            prune(self.model, producer)

    def _infer(self, value: ir.Value) -> None:
        node = value.producer()
        inferred = None if node is None else inferred_outputs(node, self.version).get(value.name or "")
        if inferred is None:
            return
        kind, shape = inferred
        value.type, value.shape = kind, shape


def inferred_outputs(node: ir.Node, version: int) -> dict[str, tuple[ir.TypeProtocol | None, ir.Shape | None]]:
    """Name -> type and shape of a node's outputs, as its operator's definition gives them; empty where it does not."""
    present = {value.name: value for value in node.inputs if value is not None and value.name}
    if any(value.dtype is None for value in present.values()):
        return {}
    types = {name: _type(value) for name, value in present.items()}
    data = {name: found for name, value in present.items() if (found := _data(value)) is not None}
    try:
        schema = onnx.defs.get_schema(node.op_type, version)
        protos = onnx.shape_inference.infer_node_outputs(
            schema, ir.to_proto(node), types, data, opset_imports=[onnx.helper.make_opsetid("", version)]
        )
    except (onnx.defs.SchemaError, onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError):
        return {}
    return {
        name: (ir.serde.deserialize_type_proto_for_type(proto), ir.serde.deserialize_type_proto_for_shape(proto))
        for name, proto in protos.items()
    }


def _type(value: ir.Value) -> onnx.TypeProto:
    proto: onnx.TypeProto = ir.to_proto(value).type
    return proto


def _data(value: ir.Value) -> onnx.TensorProto | None:
    array = constant(value)
    return None if array is None or array.size > _SHAPE_ELEMENTS else onnx.numpy_helper.from_array(array)
