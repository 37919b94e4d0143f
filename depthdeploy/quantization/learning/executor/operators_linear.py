"""Convolutions and matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.quantization.learning.executor.batching import multiplied, never, samples
from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Compute, Operator, Registry, Result
from depthdeploy.quantization.learning.executor.windows import Windows, flat_pads, windows

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x [N,C,...]`` with ``weight [M,C/group,...]``, one to three spatial axes."""
    window = windows(attributes, weight.shape[2:], x.shape[2:])
    padding = window.begin
    if window.begin != window.end:
        x, padding = functional.pad(x, flat_pads(window.begin, window.end)), (0,) * len(window.begin)
    function = _CONVOLUTIONS[x.ndim - 2]
    group = attributes.integer("group", 1)
    return function(x, weight, bias, window.strides, padding, window.dilations, group)


def conv_transpose(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x [N,C,...]`` with ``weight [C,M/group,...]``; pads crop the result."""
    rank = x.ndim - 2
    window = windows(attributes, weight.shape[2:], x.shape[2:])
    extra = attributes.integers("output_padding", [0] * rank)
    begin, end = cropped(attributes, window, x.shape[2:], extra)
    group, function = attributes.integer("group", 1), _TRANSPOSED[rank]
    if begin == end and all(
        more < max(pair) for more, pair in zip(extra, zip(window.strides, window.dilations, strict=True), strict=True)
    ):
        return function(x, weight, bias, window.strides, begin, extra, group, window.dilations)
    whole = function(x, weight, None, window.strides, 0, 0, group, window.dilations)
    after = [more - crop for more, crop in zip(extra, end, strict=True)]
    result = functional.pad(whole, flat_pads([-crop for crop in begin], after))
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def cropped(
    attributes: Attributes, window: Windows, sizes: torch.Size, extra: list[int]
) -> tuple[list[int], list[int]]:
    """What is taken from both ends: the pads, or what ``output_shape`` or ``auto_pad`` make of them."""
    automatic = attributes.text("auto_pad", "NOTSET")
    wanted = attributes.integers("output_shape")[-len(sizes) :]
    if not wanted and automatic.startswith("SAME"):
        wanted = [size * stride for size, stride in zip(sizes, window.strides, strict=True)]
    if not wanted:
        return list(window.begin), list(window.end)
    begin, end = [], []
    for size, stride, extent, more, target in zip(sizes, window.strides, window.extent, extra, wanted, strict=True):
        total = stride * (size - 1) + more + extent - target
        small, large = total // 2, total - total // 2
        begin.append(large if automatic != "SAME_UPPER" else small)
        end.append(small if automatic != "SAME_UPPER" else large)
    return begin, end


def gemm(attributes: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """``alpha A' B' + beta C``."""
    left = a.T if attributes.integer("transA", 0) else a
    right = b.T if attributes.integer("transB", 0) else b
    product = left @ right
    alpha, beta = attributes.number("alpha", 1.0), attributes.number("beta", 1.0)
    scaled = product if alpha == 1 else alpha * product
    if c is None:
        return scaled
    return scaled + (c if beta == 1 else beta * c)


def _gemm_rows(compute: Compute, call: Call) -> Result | None:
    """Photographs are rows of A, and C has one row for all."""
    bias = call.shape(2)
    one_row = len(bias) < 2 or bias[0] == 1
    if call.attributes.integer("transA", 0) or not call.only_first() or not one_row:
        return None
    return compute(call.attributes, *call.inputs)


def einsum(attributes: Attributes, *tensors: Tensor) -> Tensor:
    """Einstein's summation."""
    return torch.einsum(attributes.text("equation", ""), *tensors)


def matmul(attributes: Attributes, a: Tensor, b: Tensor) -> Tensor:
    """The matrix product; leading axes are broadcast."""
    return torch.matmul(a, b)


OPERATORS: Registry = {
    "Conv": Operator(conv, samples),
    "ConvTranspose": Operator(conv_transpose, samples),
    "Einsum": Operator(einsum, never),
    "Gemm": Operator(gemm, _gemm_rows),
    "MatMul": Operator(matmul, multiplied),
}
