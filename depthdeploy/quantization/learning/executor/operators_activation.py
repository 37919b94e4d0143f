"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.quantization.learning.executor.batching import axis, broadcast, elements, within
from depthdeploy.quantization.learning.executor.registry import Attributes, Operator, Registry

#: SELU's constants (Klambauer et al. 2017, equation 14) as ONNX has them.
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _plain(function: Callable[[Tensor], Tensor]) -> Operator:
    return Operator(lambda attributes, x: function(x), elements)


def elu(attributes: Attributes, x: Tensor) -> Tensor:
    """``x`` above zero, ``alpha (exp(x) - 1)`` below."""
    return functional.elu(x, attributes.number("alpha", 1.0))


def celu(attributes: Attributes, x: Tensor) -> Tensor:
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))``."""
    return functional.celu(x, attributes.number("alpha", 1.0))


def selu(attributes: Attributes, x: Tensor) -> Tensor:
    """``gamma x`` above zero, ``gamma alpha (exp(x) - 1)`` below."""
    return attributes.number("gamma", _SELU_GAMMA) * functional.elu(x, attributes.number("alpha", _SELU_ALPHA))


def leaky_relu(attributes: Attributes, x: Tensor) -> Tensor:
    """``x`` above zero, ``alpha x`` below."""
    return functional.leaky_relu(x, attributes.number("alpha", 0.01))


def p_relu(attributes: Attributes, x: Tensor, slope: Tensor) -> Tensor:
    """``x`` above zero, ``slope x`` below; the slope is broadcast to ``x``."""
    return torch.where(x < 0, slope * x, x)


def hard_sigmoid(attributes: Attributes, x: Tensor) -> Tensor:
    """``alpha x + beta`` clipped to [0, 1]."""
    return torch.clamp(attributes.number("alpha", 0.2) * x + attributes.number("beta", 0.5), 0, 1)


def swish(attributes: Attributes, x: Tensor) -> Tensor:
    """``x sigmoid(alpha x)``."""
    return x * torch.sigmoid(attributes.number("alpha", 1.0) * x)


def gelu(attributes: Attributes, x: Tensor) -> Tensor:
    """``x`` times the normal distribution's function, or its approximation by ``tanh``."""
    return functional.gelu(x, approximate=attributes.text("approximate", "none"))


def thresholded_relu(attributes: Attributes, x: Tensor) -> Tensor:
    """``x`` above ``alpha``, otherwise zero."""
    return torch.where(x > attributes.number("alpha", 1.0), x, torch.zeros_like(x))


def _softmax(function: Callable[..., Tensor]) -> Operator:
    """Before opset 13 all axes from ``axis`` on are one, and ``axis`` is 1 unless given."""

    def compute(attributes: Attributes, x: Tensor) -> Tensor:
        if attributes.opset >= 13:
            return function(x, dim=attributes.integer("axis", -1))
        first = attributes.integer("axis", 1) % x.ndim
        return function(x.reshape(*x.shape[:first], -1), dim=first).reshape(x.shape)

    def stacked(attributes: Attributes, rank: int, call: object) -> list[int]:
        return axis(-1 if attributes.opset >= 13 else 1)(attributes, rank, call)  # type: ignore[arg-type]

    return Operator(compute, within(stacked))


OPERATORS: Registry = {
    "Celu": Operator(celu, elements),
    "Elu": Operator(elu, elements),
    "Gelu": Operator(gelu, elements),
    "HardSigmoid": Operator(hard_sigmoid, elements),
    "HardSwish": _plain(functional.hardswish),
    "LeakyRelu": Operator(leaky_relu, elements),
    "LogSoftmax": _softmax(torch.log_softmax),
    "Mish": _plain(functional.mish),
    "PRelu": Operator(p_relu, broadcast),
    "Relu": _plain(torch.relu),
    "Selu": Operator(selu, elements),
    "Sigmoid": _plain(torch.sigmoid),
    "Softmax": _softmax(torch.softmax),
    "Softplus": _plain(functional.softplus),
    "Softsign": _plain(functional.softsign),
    "Swish": Operator(swish, elements),
    "Tanh": _plain(torch.tanh),
    "ThresholdedRelu": Operator(thresholded_relu, elements),
}
