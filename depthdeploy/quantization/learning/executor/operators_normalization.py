"""Normalisation by means and variances, or by norms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.batching import axis, samples, within
from depthdeploy.quantization.learning.executor.registry import Attributes, Operator, Registry, Result


def _per_channel(parameter: Tensor, rank: int) -> Tensor:
    return parameter.reshape(-1, *[1] * (rank - 2))


def batch_normalization(attributes: Attributes, x: Tensor, *parameters: Tensor) -> Tensor:
    """``(x - mean) / sqrt(variance + epsilon) * scale + shift`` by channel, with the statistics that are given.

    Raises:
        QuantizationError: the node asks for the statistics of the photographs themselves.
    """
    if attributes.integer("training_mode", 0):
        raise QuantizationError(
            f"The BatchNormalization {attributes.node} is in training mode.", "Export the network in evaluation mode."
        )
    scale, shift, mean, variance = parameters
    epsilon = attributes.number("epsilon", 1e-5)
    return functional.batch_norm(x, mean, variance, scale, shift, training=False, eps=epsilon)


def layer_normalization(attributes: Attributes, x: Tensor, scale: Tensor, shift: Tensor | None = None) -> Result:
    """Mean zero and variance one over the axes from ``axis`` on (Ba et al. 2016), then scale and shift.

    With more than one output, the mean and the inverse deviation as well.
    """
    first = attributes.integer("axis", -1) % x.ndim
    shape, epsilon = x.shape[first:], attributes.number("epsilon", 1e-5)
    plain = scale.shape == shape and (shift is None or shift.shape == shape)
    if plain:
        y = functional.layer_norm(x, shape, scale, shift, epsilon)
    else:
        y = functional.layer_norm(x, shape, eps=epsilon) * scale
        y = y if shift is None else y + shift
    if attributes.outputs == 1:
        return y
    axes = list(range(first, x.ndim))
    mean = x.mean(axes, keepdim=True)
    deviation = torch.rsqrt((x - mean).square().mean(axes, keepdim=True) + epsilon)
    return (y, mean, deviation)[: attributes.outputs]


def rms_normalization(attributes: Attributes, x: Tensor, scale: Tensor) -> Tensor:
    """Divided by the root of the mean square over the axes from ``axis`` on (Zhang and Sennrich 2019)."""
    axes = list(range(attributes.integer("axis", -1) % x.ndim, x.ndim))
    square = x.square().mean(axes, keepdim=True)
    return x * torch.rsqrt(square + attributes.number("epsilon", 1e-5)) * scale


def _grouped(x: Tensor, groups: int, epsilon: float) -> Tensor:
    """Mean zero and variance one of every group of channels of every sample."""
    flat = x.reshape(x.shape[0], groups, -1)
    return functional.layer_norm(flat, flat.shape[-1:], eps=epsilon).reshape(x.shape)


def instance_normalization(attributes: Attributes, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Mean zero and variance one of every channel of every sample (Ulyanov et al. 2016), then scale and shift."""
    normal = _grouped(x, x.shape[1], attributes.number("epsilon", 1e-5))
    return normal * _per_channel(scale, x.ndim) + _per_channel(shift, x.ndim)


def group_normalization(attributes: Attributes, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Groups of channels (Wu and He 2018); before opset 21 scale and shift are those of groups, then of channels."""
    groups = attributes.integer("num_groups", 1)
    normal = _grouped(x, groups, attributes.number("epsilon", 1e-5))
    repeats = x.shape[1] // scale.numel()
    each, moved = scale.repeat_interleave(repeats), shift.repeat_interleave(repeats)
    return normal * _per_channel(each, x.ndim) + _per_channel(moved, x.ndim)


def local_response(attributes: Attributes, x: Tensor) -> Tensor:
    """``x / (bias + alpha / size * sum of squares of neighbouring channels) ^ beta`` (Krizhevsky et al. 2012, §3.3)."""
    size = attributes.integer("size", 1)
    flat = x.square().reshape(x.shape[0], 1, x.shape[1], -1)
    padded = functional.pad(flat, [0, 0, (size - 1) // 2, size // 2])
    near = functional.avg_pool2d(padded, (size, 1), stride=1).reshape(x.shape)
    base = attributes.number("bias", 1.0) + attributes.number("alpha", 1e-4) * near
    return x / base.pow(attributes.number("beta", 0.75))


def lp_normalization(attributes: Attributes, x: Tensor) -> Tensor:
    """Divided by the norm along an axis; what has norm zero stays zero."""
    along, p = attributes.integer("axis", -1), attributes.integer("p", 2)
    norm = x.abs().sum(along, keepdim=True) if p == 1 else x.square().sum(along, keepdim=True).sqrt()
    return torch.where(norm == 0, torch.zeros_like(x), x / torch.where(norm == 0, torch.ones_like(norm), norm))


_NOT_FIRST = within(lambda attributes, rank, call: list(range(attributes.integer("axis", -1) % rank, rank)))

OPERATORS: Registry = {
    "BatchNormalization": Operator(batch_normalization, samples),
    "GroupNormalization": Operator(group_normalization, samples),
    "InstanceNormalization": Operator(instance_normalization, samples),
    "LRN": Operator(local_response, samples),
    "LayerNormalization": Operator(layer_normalization, _NOT_FIRST),
    "LpNormalization": Operator(lp_normalization, within(axis(-1))),
    "RMSNormalization": Operator(rms_normalization, _NOT_FIRST),
}
