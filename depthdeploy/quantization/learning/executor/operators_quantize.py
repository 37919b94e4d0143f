"""``QuantizeLinear`` and ``DequantizeLinear`` of graphs that come quantized: no gradient flows through the former."""

from __future__ import annotations

import torch
from torch import Tensor

from depthdeploy.quantization.learning.executor.batching import within
from depthdeploy.quantization.learning.executor.operators_constant import torch_type
from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Operator, Registry


def _fitted(parameter: Tensor, x: Tensor, attributes: Attributes) -> Tensor:
    """A scale or zero point in the shape that goes with ``x``: of the tensor, of an axis, or of blocks along it."""
    along = attributes.integer("axis", 1)
    if parameter.numel() == 1:
        return parameter.reshape(())
    block = attributes.integer("block_size", 0)
    if block:
        return parameter.repeat_interleave(block, dim=along).narrow(along, 0, x.shape[along])
    return parameter.reshape([-1 if axis == along % x.ndim else 1 for axis in range(x.ndim)])


def quantize(attributes: Attributes, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """``round(x / scale) + zero point``, half to even, within the range of the integers."""
    number = attributes.integer("output_dtype", 0)
    wanted = torch_type(number, attributes.node) if number else torch.uint8
    kind = wanted if zero is None else zero.dtype
    limits = torch.iinfo(kind)
    steps = torch.round(x / _fitted(scale, x, attributes))
    if zero is not None:
        steps = steps + _fitted(zero, x, attributes)
    return steps.clamp(limits.min, limits.max).to(kind)


def dequantize(attributes: Attributes, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """``(x - zero point) scale``."""
    steps = x.to(scale.dtype)
    if zero is not None:
        steps = steps - _fitted(zero, x, attributes).to(scale.dtype)
    return steps * _fitted(scale, x, attributes)


def _axis(attributes: Attributes, rank: int, call: Call) -> list[int]:
    scale = call.inputs[1]
    if scale is None or scale.numel() == 1:
        return []
    return [0] if attributes.integer("block_size", 0) else [attributes.integer("axis", 1)]  # blocks have all axes


OPERATORS: Registry = {
    "DequantizeLinear": Operator(dequantize, within(_axis)),
    "QuantizeLinear": Operator(quantize, within(_axis)),
}
