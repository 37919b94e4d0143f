"""The constants of a graph in protobuf: found wherever they stand, and checked before anything native reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx.numpy_helper import to_array

from depthdeploy.errors import ModelError

#: Bits of element types that are packed; all others have whole bytes.
_PACKED = {name: bits for bits, names in {4: ("UINT4", "INT4", "FLOAT4E2M1"), 2: ("UINT2", "INT2")}.items()
           for name in names}  # fmt: skip


def every_graph(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those within its nodes, outermost first."""
    pending = [graph]
    while pending:
        one = pending.pop()
        yield one
        for node in one.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                pending.extend(attribute.graphs)


def every_tensor(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Every constant, and how to call it in a message."""
    for graph in every_graph(model.graph):
        for tensor in graph.initializer:
            yield f"initializer {tensor.name!r}", tensor
        for node in graph.node:
            for attribute in node.attribute:
                held = [attribute.t, *attribute.tensors] if attribute.HasField("t") else list(attribute.tensors)
                for tensor in held:
                    yield f"{attribute.name!r} of {called(node)}", tensor


def check_text(model: onnx.ModelProto, path: Path) -> None:
    """Every text is UTF-8: protobuf gives bytes for one that is not, which is how damage in a name shows.

    Raises:
        ModelError: one is not.
    """
    pending: list[Message] = [model]
    while pending:
        for field, value in pending.pop().ListFields():
            parts = (value,) if isinstance(value, str | bytes | Message) else value
            if field.type == field.TYPE_MESSAGE:
                pending.extend(parts)
            elif field.type == field.TYPE_STRING:
                wrong = next((text for text in parts if isinstance(text, bytes)), None)
                if wrong is not None:
                    raise ModelError(
                        f"{path} is damaged: the {field.name} {wrong[:60]!r} is not UTF-8.", "Copy the file again."
                    )


def called(node: onnx.NodeProto) -> str:
    """``name (operator)``, for messages; a node without a name is called by what it makes."""
    named = node.name or next((output for output in node.output if output), "a node without a name")
    return f"{named} ({node.op_type})"


def check_tensors(model: onnx.ModelProto, path: Path) -> None:
    """Element types, dimensions and the number of bytes of every constant.

    Raises:
        ModelError: one is not what it says, is text, or is stored sparsely.
    """
    for graph in every_graph(model.graph):
        for sparse in graph.sparse_initializer:
            raise ModelError(
                f"{path}: initializer {sparse.values.name!r} is stored sparsely, which targets do not read.",
                "Export the network with dense weights.",
            )
    for name, tensor in every_tensor(model):
        fault = _fault(tensor)
        if fault:
            raise ModelError(f"{path}: {name} {fault}.", "Export the network anew.")


def _fault(tensor: onnx.TensorProto) -> str:
    if tensor.data_type not in onnx.TensorProto.DataType.values() or tensor.data_type == onnx.TensorProto.UNDEFINED:
        return f"has the element type {tensor.data_type}, which ONNX does not know"
    if tensor.data_type == onnx.TensorProto.STRING:
        return "holds text; a depth network computes with numbers"
    if any(size < 0 for size in tensor.dims):
        return f"has a negative dimension: {list(tensor.dims)}"
    if tensor.HasField("segment"):
        return "is stored in segments"
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return ""
    if tensor.HasField("raw_data") and len(tensor.raw_data) != byte_count(tensor):
        return f"has {len(tensor.raw_data)} bytes where {list(tensor.dims)} needs {byte_count(tensor)}"
    if not tensor.HasField("raw_data"):
        try:
            to_array(tensor)
        except (ValueError, TypeError, OverflowError) as cause:
            return f"has not the elements that {list(tensor.dims)} needs: {cause}"
    return ""


def byte_count(tensor: onnx.TensorProto) -> int:
    """Bytes of the elements as ONNX stores them raw."""
    bits: int | None = _PACKED.get(onnx.TensorProto.DataType.Name(tensor.data_type))
    if bits is None:
        bits = 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return (math.prod(int(size) for size in tensor.dims) * bits + 7) // 8
