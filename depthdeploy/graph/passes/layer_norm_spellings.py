"""The ways in which layer normalisation is spelled in single operators."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, given, producer, scalar, static_shape

#: Share by which a constant may miss what it stands for: float32 and float16 round it.
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Spelled:
    """Values with mean 0 and variance 1, found in a graph.

    Attributes:
        node: what gives them out.
        x: what is normalised, over its last ``axes`` axes.
        sign: -1 where the mean is the minuend.
    """

    node: ir.Node
    x: ir.Value
    axes: int
    epsilon: float
    sign: int


def spelled(root: ir.Node) -> Iterator[Spelled]:
    """Every normalisation that divides by this root: ``Sqrt``, or ``Pow`` by 1/2 or -1/2."""
    found = _variance(root)
    if found is None:
        return
    x, axes, epsilon = found
    direct = root.op_type == "Sqrt" or scalar(given(root, 1)) == 0.5
    for value in _behind_floor(root.outputs[0], epsilon) if direct else ():
        yield from _quotients(value, x, axes, epsilon)
    inverses = [root.outputs[0]] if not direct else [*_inverses(root.outputs[0], epsilon)]
    for inverse in inverses:
        for node in _readers(inverse, "Mul"):
            yield from _normalized(node, other(node, inverse), x, axes, epsilon)


def other(node: ir.Node, value: ir.Value) -> ir.Value | None:
    """The second operand of a node of two."""
    first, second = node.inputs[0], node.inputs[1]
    return second if first is value else first


def _variance(root: ir.Node) -> tuple[ir.Value, int, float] | None:
    """``x``, the number of axes and epsilon of ``mean((x - mean(x))^2) + epsilon`` before a root."""
    if root.op_type == "Pow" and scalar(given(root, 1)) not in (0.5, -0.5):
        return None
    total = producer(root.inputs[0], "Add")
    for value, small in ((0, 1), (1, 0)) if total is not None else ():
        epsilon = None if total is None else scalar(total.inputs[small])
        mean = None if total is None else mean_of(total.inputs[value])
        x = None if mean is None else _squared(mean)
        if epsilon is not None and epsilon >= 0 and mean is not None and x is not None:
            return x, mean[1], epsilon
    return None


def mean_of(value: ir.Value | None) -> tuple[ir.Value, int] | None:
    """What a value is the mean of, and over how many last axes; dimensions are kept."""
    node = producer(value, "ReduceMean", "Mul", "Div")
    if node is None or node.op_type == "ReduceMean":
        return None if node is None else _reduction(node)
    order = ((0, 1), (1, 0)) if node.op_type == "Mul" else ((0, 1),)
    for summed, counted in order:
        total, number = producer(node.inputs[summed], "ReduceSum"), scalar(node.inputs[counted])
        found = None if total is None else _reduction(total)
        shape = None if found is None else static_shape(found[0])
        if found is not None and shape is not None and number:
            count = number if node.op_type == "Div" else 1 / number
            return found if math.isclose(count, math.prod(shape[-found[1] :]), rel_tol=1e-6) else None
    return None


def _reduction(node: ir.Node) -> tuple[ir.Value, int] | None:
    x, shape = node.inputs[0], static_shape(node.inputs[0])
    listed = constant(given(node, 1))
    axes = node.attributes.get_ints("axes") if listed is None else [int(axis) for axis in listed.reshape(-1)]
    if x is None or shape is None or not axes or node.attributes.get_int("keepdims", 1) != 1:
        return None
    last = sorted(axis % len(shape) for axis in axes)
    return (x, len(last)) if last == [*range(len(shape) - len(last), len(shape))] else None


def _squared(mean: tuple[ir.Value, int]) -> ir.Value | None:
    """``x`` where the mean is of ``(x - mean(x))^2``."""
    node = producer(mean[0], "Mul", "Pow")
    if node is None:
        return None
    if node.op_type == "Pow" and scalar(node.inputs[1]) != 2:
        return None
    centred = [_centred(value, mean[1]) for value in node.inputs[: 2 if node.op_type == "Mul" else 1]]
    first = centred[0]
    return first[0] if first is not None and all(one == first for one in centred) else None


def _centred(value: ir.Value | None, axes: int) -> tuple[ir.Value, int] | None:
    """``x`` and the sign of ``x - mean(x)``."""
    node = producer(value, "Sub")
    if node is None:
        return None
    for index, sign in ((0, 1), (1, -1)):
        x, mean = node.inputs[index], mean_of(node.inputs[1 - index])
        if x is not None and mean == (x, axes):
            return x, sign
    return None


def _quotients(deviation: ir.Value, x: ir.Value, axes: int, epsilon: float) -> Iterator[Spelled]:
    for node in _readers(deviation, "Div"):
        if node.inputs[1] is deviation:
            yield from _normalized(node, node.inputs[0], x, axes, epsilon)


def _normalized(node: ir.Node, numerator: ir.Value | None, x: ir.Value, axes: int, epsilon: float) -> Iterator[Spelled]:
    centred = _centred(numerator, axes)
    if centred is not None and centred[0] is x:
        yield Spelled(node, x, axes, epsilon, centred[1])


def _behind_floor(root: ir.Value, epsilon: float) -> Iterator[ir.Value]:
    """The root, and what a ``Max`` makes of it whose bound is no higher than the root of epsilon."""
    yield root
    for node in _readers(root, "Max"):
        bounds = [scalar(value) for value in node.inputs if value is not root]
        if all(bound is not None and bound <= math.sqrt(epsilon) * (1 + _TOLERANCE) for bound in bounds):
            yield node.outputs[0]


def _inverses(root: ir.Value, epsilon: float) -> Iterator[ir.Value]:
    for value in _behind_floor(root, epsilon):
        for node in _readers(value, "Reciprocal", "Div"):
            if node.op_type == "Reciprocal" or (node.inputs[1] is value and scalar(node.inputs[0]) == 1):
                yield node.outputs[0]


def _readers(value: ir.Value, *operators: str) -> list[ir.Node]:
    return [node for node, _ in value.uses() if node.domain == "" and node.op_type in operators]


def affine(node: ir.Node, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None:
    """The constant operand of a ``Mul`` or ``Add`` as an array of ``shape``; ``None`` where it is not one."""
    for value in node.inputs:
        array = constant(value)
        if array is None:
            continue
        inner = array.reshape(array.shape[array.ndim - len(shape) :]) if _fits(array.shape, len(shape)) else None
        return None if inner is None or not _spreads(inner.shape, shape) else np.broadcast_to(inner, shape)
    return None


def _fits(found: tuple[int, ...], rank: int) -> bool:
    """Whether all axes before the last ``rank`` have one element."""
    return all(size == 1 for size in found[: max(0, len(found) - rank)])


def _spreads(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    rank = len(found)
    return rank <= len(shape) and all(a in (1, b) for a, b in zip(found, shape[len(shape) - rank :], strict=True))
