"""What does not depend on the photograph is computed now."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as refused

from depthdeploy.graph.edit import add_initializer, constant, main_nodes, static_shape

#: Weights stored as integers stay so; what is drawn at random is not a constant, nor is what a training dropout leaves.
_KEPT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "Dropout", "RandomNormal",
                   "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"})  # fmt: skip

#: Bytes of a result that is always kept: shapes, tables, an attention mask over two thousand tokens.
_SMALL = 1 << 24

#: A larger result may be this much larger than what it is made of: the position embedding of a vision transformer grows
#: with the image (Depth Anything at 518x686 by 1.3), an expanded scalar would grow without bound.
_GROWTH = 4.0


@dataclass(frozen=True, slots=True)
class ConstantFolding:
    """Nodes that read only constants, or only a static shape, become constants.

    ONNX Runtime computes them, one node at a time, so that the folded graph gives what the unfolded one would have.
    """

    name: str = "constant-folding"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model):
            if node.op_type in _KEPT or any(_holds_graph(attribute) for attribute in node.attributes.values()):
                continue
            results = _RULES.get(node.op_type, _evaluated)(model, node)
            if results is not None and not any(value.is_graph_output() for value in node.outputs):
                _replace(model, node, results)
                changed = True
        return changed


def _holds_graph(attribute: ir.Attr) -> bool:
    return attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _shape(model: ir.Model, node: ir.Node) -> list[NDArray[np.generic]] | None:
    shape = static_shape(node.inputs[0])
    if shape is None:
        return None
    end = node.attributes.get_int("end", len(shape))
    return [np.array(shape[node.attributes.get_int("start", 0) : end], dtype=np.int64)]


def _size(model: ir.Model, node: ir.Node) -> list[NDArray[np.generic]] | None:
    shape = static_shape(node.inputs[0])
    return None if shape is None else [np.array(math.prod(shape), dtype=np.int64)]


def _cast_like(model: ir.Model, node: ir.Node) -> list[NDArray[np.generic]] | None:
    array, like = constant(node.inputs[0]), node.inputs[1]
    if array is None or like is None or like.dtype is None:
        return None
    return [array.astype(like.dtype.numpy())]


def _evaluated(model: ir.Model, node: ir.Node) -> list[NDArray[np.generic]] | None:
    """The outputs of a node whose inputs are all constant; ``None`` when they are not, or when the result is large."""
    present = {value.name: constant(value) for value in node.inputs if value is not None and value.name}
    arrays = {name: array for name, array in present.items() if name is not None and array is not None}
    if len(arrays) < len(present):
        return None
    consumed = sum(array.nbytes for array in arrays.values())
    if _expected_bytes(node) > max(_SMALL, _GROWTH * consumed):
        return None
    results = _run(node, arrays, model.opset_imports.get("", 18), model.ir_version)
    if results is None:
        return None
    produced = sum(array.nbytes for array in results)
    return results if produced <= max(_SMALL, _GROWTH * consumed) else None


#: What ONNX Runtime raises for a node that it has no kernel for, or whose inputs do not fit.
_REFUSALS: Final[tuple[type[Exception], ...]] = (
    refused.Fail,
    refused.InvalidArgument,
    refused.InvalidGraph,
    refused.NotImplemented,
    refused.RuntimeException,
    RuntimeError,  # of its Python half: a result of bfloat16 has no numpy type
)

#: Operators whose result may be known though an input is not constant.
_RULES: Final[Mapping[str, Callable[[ir.Model, ir.Node], list[NDArray[np.generic]] | None]]] = {
    "CastLike": _cast_like,
    "Shape": _shape,
    "Size": _size,
}


def _expected_bytes(node: ir.Node) -> int:
    """The size of the result as far as its shape is known before it is computed."""
    total = 0
    for value in node.outputs:
        shape = static_shape(value)
        if shape is not None and value.dtype is not None:
            total += math.ceil(math.prod(shape) * value.dtype.itemsize)
    return total


def _run(
    node: ir.Node, arrays: dict[str, NDArray[np.generic]], opset: int, ir_version: int
) -> list[NDArray[np.generic]] | None:
    """One node run by ONNX Runtime; ``None`` when it has no kernel for these types."""
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outputs = [onnx.ValueInfoProto(name=value.name) for value in node.outputs if value.name]
    graph = onnx.helper.make_graph([ir.to_proto(node)], "constant", inputs, outputs)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=ir_version)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results: Sequence[NDArray[np.generic]] = session.run(None, arrays)
    except _REFUSALS:
        return None
    return list(results) if all(isinstance(result, np.ndarray) for result in results) else None


def _replace(model: ir.Model, node: ir.Node, results: Sequence[NDArray[np.generic]]) -> None:
    graph = node.graph
    model.ir_version = max(model.ir_version, 4)  # before, every initializer had to be an input
    named = [value for value in node.outputs if value.name]
    for value, array in zip(named, results, strict=True):
        name, value.name = value.name, None
        value.replace_all_uses_with(add_initializer(model, name or node.op_type, array))
    if graph is not None:
        graph.remove(node, safe=True)
