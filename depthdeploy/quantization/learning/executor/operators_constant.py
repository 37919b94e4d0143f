"""Shapes, types, ranges: operators whose results do not depend on the values of an activation."""

from __future__ import annotations

import math

import onnx_ir as ir
import torch
from torch import Tensor

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.batching import elements, never
from depthdeploy.quantization.learning.executor.registry import Attributes, Operator, Registry, host

#: The element types of ONNX that PyTorch computes with.
TYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.UINT16: torch.uint16,
    ir.DataType.UINT32: torch.uint32,
    ir.DataType.BOOL: torch.bool,
}


def torch_type(number: int, node: str) -> torch.dtype:
    """PyTorch's type of an ONNX type's number.

    Raises:
        QuantizationError: PyTorch has none; the message names the node.
    """
    kind = ir.DataType(number)
    if kind not in TYPES:
        raise QuantizationError(
            f"The node {node} makes elements of type {kind.name}, which PyTorch does not compute with.",
            "Choose a recipe without learning.",
        )
    return TYPES[kind]


def cast(attributes: Attributes, x: Tensor) -> Tensor:
    """Another element type; numbers are cut towards zero."""
    return x.to(torch_type(attributes.integer("to", 1), attributes.node))


def cast_like(attributes: Attributes, x: Tensor, like: Tensor) -> Tensor:
    """The element type of another tensor."""
    return x.to(like.dtype)


def constant_of_shape(attributes: Attributes, shape: Tensor) -> Tensor:
    """A shape filled with one value, float zero where none is given."""
    value = attributes.values.get("value")
    fill = torch.from_numpy(value.numpy().copy()) if isinstance(value, ir.TensorProtocol) else torch.zeros(1)
    return fill.reshape(()).expand(shape.tolist()).clone()


def shape_of(attributes: Attributes, x: Tensor) -> Tensor:
    """The shape of a tensor for one photograph, from axis ``start`` to ``end``; int64, in the host's memory."""
    end = attributes.integer("end", x.ndim)
    return torch.tensor(tuple(x.shape)[attributes.integer("start", 0) : end], dtype=torch.int64)


def size_of(attributes: Attributes, x: Tensor) -> Tensor:
    """How many elements a tensor has for one photograph; int64."""
    return torch.tensor(x.numel(), dtype=torch.int64)


def range_of(attributes: Attributes, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """The numbers from a start, before a limit, by steps."""
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item()))
    return start + delta * torch.arange(count, dtype=start.dtype)


#: Operators that read only the shape of their input.
SHAPES = frozenset({"Shape", "Size"})

OPERATORS: Registry = {
    "Cast": Operator(cast, elements),
    "CastLike": Operator(cast_like, lambda compute, call: compute(call.attributes, *call.inputs)),
    "ConstantOfShape": Operator(constant_of_shape, never, host(0)),
    "Range": Operator(range_of, never, host(0, 1, 2)),
    "Shape": Operator(shape_of, never),
    "Size": Operator(size_of, never),
}
