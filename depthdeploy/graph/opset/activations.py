"""Activations in the operators that they are made of: their definitions in the ONNX operator specification.

Each function gives a value that computes what a node computes; :class:`Emission` puts the operators before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import onnx_ir as ir

from depthdeploy.graph.emission import Emission


def real(node: ir.Node, name: str, default: float) -> float:
    """An attribute that is a number."""
    found = node.attributes.get_float(name, default)
    return default if found is None else found


def gelu(parts: Emission, x: ir.Value) -> ir.Value:
    """``x/2 (1 + erf(x / sqrt(2)))`` or ``x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`` (Hendrycks & Gimpel 2016)."""
    half = parts.emit("Mul", x, parts.number(0.5, "half", like=x), what="halved")
    if (parts.node.attributes.get_string("approximate", "none") or "none") == "tanh":
        curve = _tanh_curve(parts, x)
    else:
        scaled = parts.emit("Div", x, parts.number(math.sqrt(2), "root_2", like=x), what="scaled")
        curve = parts.emit("Erf", scaled, what="erf")
    share = parts.emit("Add", curve, parts.number(1, "one", like=x), what="share")
    return parts.emit("Mul", half, share, what="gelu")


def _tanh_curve(parts: Emission, x: ir.Value) -> ir.Value:
    square = parts.emit("Mul", x, x, what="square")
    cube = parts.emit("Mul", square, x, what="cube")
    bent = parts.emit("Mul", cube, parts.number(0.044715, "bend", like=x), what="bent")
    total = parts.emit("Add", x, bent, what="argument")
    scale = parts.number(math.sqrt(2 / math.pi), "root_2_by_pi", like=x)
    return parts.emit("Tanh", parts.emit("Mul", total, scale, what="scaled"), what="tanh")


def hard_sigmoid(parts: Emission, x: ir.Value) -> ir.Value:
    """``max(0, min(1, alpha x + beta))``."""
    return _ramp(parts, x, real(parts.node, "alpha", 0.2), real(parts.node, "beta", 0.5))


def hard_swish(parts: Emission, x: ir.Value) -> ir.Value:
    """``x max(0, min(1, x/6 + 1/2))`` (Howard et al. 2019, section 5.2)."""
    return parts.emit("Mul", x, _ramp(parts, x, 1 / 6, 0.5), what="swish")


def named_hard_swish(parts: Emission, x: ir.Value) -> ir.Value:
    """:func:`hard_swish` by ``HardSigmoid``."""
    gate = parts.emit("HardSigmoid", x, what="gate", alpha=1 / 6, beta=0.5)
    return parts.emit("Mul", x, gate, what="swish")


def _ramp(parts: Emission, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    steep = parts.emit("Mul", x, parts.number(alpha, "alpha", like=x), what="steep")
    line = parts.emit("Add", steep, parts.number(beta, "beta", like=x), what="line")
    return parts.emit("Clip", line, parts.number(0, "zero", like=x), parts.number(1, "one", like=x), what="ramp")


def swish(parts: Emission, x: ir.Value) -> ir.Value:
    """``x sigmoid(alpha x)`` (Ramachandran et al. 2017); at alpha 1 it is called SiLU."""
    alpha = real(parts.node, "alpha", 1.0)
    steep = x if alpha == 1.0 else parts.emit("Mul", x, parts.number(alpha, "alpha", like=x), what="steep")
    return parts.emit("Mul", x, parts.emit("Sigmoid", steep, what="gate"), what="swish")


def mish(parts: Emission, x: ir.Value) -> ir.Value:
    """``x tanh(softplus(x))`` (Misra 2019)."""
    soft = parts.emit("Softplus", x, what="softplus")
    return parts.emit("Mul", x, parts.emit("Tanh", soft, what="gate"), what="mish")


def softplus(parts: Emission, x: ir.Value) -> ir.Value:
    """``log(1 + exp(x))`` as ``max(x, 0) + log(1 + exp(-|x|))``, whose exponential never overflows."""
    fall = parts.emit("Neg", parts.emit("Abs", x, what="magnitude"), what="fall")
    grown = parts.emit("Exp", fall, what="exponential")
    rest = parts.emit("Log", parts.emit("Add", grown, parts.number(1, "one", like=x), what="above_one"), what="rest")
    return parts.emit("Add", parts.emit("Relu", x, what="positive"), rest, what="softplus")


def elu(parts: Emission, x: ir.Value) -> ir.Value:
    """``max(x, 0) + alpha (exp(min(x, 0)) - 1)`` (Clevert et al. 2016)."""
    return _exponential(parts, x, scale=real(parts.node, "alpha", 1.0), gain=1.0, width=1.0)


def selu(parts: Emission, x: ir.Value) -> ir.Value:
    """``gamma (max(x, 0) + alpha (exp(min(x, 0)) - 1))`` (Klambauer et al. 2017)."""
    alpha, gamma = real(parts.node, "alpha", 1.67326319217681884765625), real(parts.node, "gamma", 1.05070102214813232)
    return _exponential(parts, x, scale=alpha * gamma, gain=gamma, width=1.0)


def celu(parts: Emission, x: ir.Value) -> ir.Value:
    """``max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1)`` (Barron 2017)."""
    alpha = real(parts.node, "alpha", 1.0)
    return _exponential(parts, x, scale=alpha, gain=1.0, width=alpha)


def named_celu(parts: Emission, x: ir.Value) -> ir.Value:
    """:func:`celu` as ``alpha Elu(x / alpha)``."""
    alpha = parts.number(real(parts.node, "alpha", 1.0), "alpha", like=x)
    curve = parts.emit("Elu", parts.emit("Div", x, alpha, what="narrow"), what="curve")
    return parts.emit("Mul", curve, alpha, what="celu")


def _exponential(parts: Emission, x: ir.Value, *, scale: float, gain: float, width: float) -> ir.Value:
    """``gain max(x, 0) + scale (exp(min(x, 0) / width) - 1)``; the minimum is ``-relu(-x)``, which every chip knows."""
    right = parts.emit("Relu", x, what="positive")
    left = parts.emit("Neg", parts.emit("Relu", parts.emit("Neg", x, what="turned"), what="depth"), what="negative")
    if width != 1.0:
        left = parts.emit("Div", left, parts.number(width, "width", like=x), what="narrow")
    grown = parts.emit("Exp", left, what="exponential")
    tail = parts.emit("Sub", grown, parts.number(1, "one", like=x), what="tail")
    if scale != 1.0:
        tail = parts.emit("Mul", tail, parts.number(scale, "scale", like=x), what="scaled")
    if gain != 1.0:
        right = parts.emit("Mul", right, parts.number(gain, "gain", like=x), what="gained")
    return parts.emit("Add", right, tail, what="sum")


def thresholded_relu(parts: Emission, x: ir.Value) -> ir.Value:
    """``x`` where it is above ``alpha``, otherwise 0 (Konda et al. 2014)."""
    alpha = parts.number(real(parts.node, "alpha", 1.0), "alpha", like=x)
    above = parts.emit("Greater", x, alpha, what="above")
    return parts.emit("Where", above, x, parts.number(0, "zero", like=x), what="kept")


#: What an activation is made of.
Definition = Callable[[Emission, ir.Value], ir.Value]

#: Operator -> its definition in basic operators, all of them older than opset 11 but ``Clip``'s form.
DEFINITIONS: Final[Mapping[str, Definition]] = {
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Mish": mish,
    "Selu": selu,
    "Softplus": softplus,
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
}
