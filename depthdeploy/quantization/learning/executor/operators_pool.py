"""Pooling over windows, and over whole images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.quantization.learning.executor.batching import samples
from depthdeploy.quantization.learning.executor.registry import Attributes, Operator, Registry
from depthdeploy.quantization.learning.executor.windows import Windows, flat_pads, windows

_MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def _fitted(attributes: Attributes, x: Tensor) -> tuple[Windows, list[int]]:
    """The windows, and pads in PyTorch's order that make exactly as many of them fit."""
    sizes = x.shape[2:]
    window = windows(attributes, attributes.integers("kernel_shape"), sizes)
    counts = window.counts(sizes, ceil=bool(attributes.integer("ceil_mode", 0)))
    after = [
        (count - 1) * stride + extent - size - begin
        for count, stride, extent, size, begin in zip(
            counts, window.strides, window.extent, sizes, window.begin, strict=True
        )
    ]
    return window, flat_pads(window.begin, after)


def max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """The largest element of every window; pads count as nothing."""
    window, pads = _fitted(attributes, x)
    least = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    padded = functional.pad(x, pads, value=least) if any(pads) else x
    function = _MAX[x.ndim - 2]
    if x.is_floating_point():
        return function(padded, window.kernel, window.strides, 0, window.dilations)
    return function(padded.double(), window.kernel, window.strides, 0, window.dilations).to(x.dtype)


def average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """The mean of every window: of its elements inside the image, or with ``count_include_pad`` inside the pads."""
    window, pads = _fitted(attributes, x)
    sums = _window_sums(functional.pad(x, pads), window)
    whole = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    if attributes.integer("count_include_pad", 0):
        own = flat_pads(window.begin, window.end)
        whole = functional.pad(whole, own, value=1.0)
        pads = [all_of_it - given for all_of_it, given in zip(pads, own, strict=True)]
    return sums / _window_sums(functional.pad(whole, pads), window)


def _window_sums(x: Tensor, window: Windows) -> Tensor:
    rank = len(window.kernel)
    ones = torch.ones((1, 1, *window.kernel), dtype=x.dtype, device=x.device)
    flat = x.reshape(-1, 1, *x.shape[2:])
    sums = _CONVOLUTIONS[rank](flat, ones, None, window.strides, 0, window.dilations)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def global_average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """The mean of every channel."""
    return x.mean(dim=list(range(2, x.ndim)), keepdim=True)


def global_max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """The largest element of every channel."""
    return x.amax(dim=list(range(2, x.ndim)), keepdim=True)


OPERATORS: Registry = {
    "AveragePool": Operator(average_pool, samples),
    "GlobalAveragePool": Operator(global_average_pool, samples),
    "GlobalMaxPool": Operator(global_max_pool, samples),
    "MaxPool": Operator(max_pool, samples),
}
