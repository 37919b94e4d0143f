"""Layer normalisation in single operators, for parsers that do not know it by name."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import given, main_nodes, static_shape
from depthdeploy.graph.passes.layer_norm_arithmetic import HalfRange, Normalized, normalize
from depthdeploy.graph.replacement import Replacement, opset


@dataclass(frozen=True, slots=True)
class LayerNormDecomposition:
    """``LayerNormalization`` becomes ``ReduceMean, Sub, Mul, ReduceMean, Add, Sqrt, Div, Mul, Add``.

    A node whose mean and variance are of another type than its activations (``stash_type``) is computed in that type,
    between two casts, except with ``guard_fp16``: then every step can be held in float16 by :class:`HalfRange`'s rule.

    Attributes:
        guard_fp16: whether the chip computes in float16.
        max_abs: with the guard, the largest absolute value of the activations that are normalised.
        half_sums: with the guard, whether the chip adds up in float16 as well.
        by_row: with the guard, whether each row is divided by its own largest deviation, which keeps small rows beside
            large ones; otherwise all are multiplied by one constant.
    """

    guard_fp16: bool = False
    max_abs: float = 8192.0
    half_sums: bool = False
    by_row: bool = False
    name: str = "layer-norm-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed.

        Raises:
            UsageError: ``max_abs`` is not positive, or more than float16 holds.
        """
        guard = HalfRange(self.max_abs, self.half_sums, self.by_row) if self.guard_fp16 else None
        changed = False
        for node in main_nodes(model, "LayerNormalization") if opset(model) >= 18 else ():
            changed |= _decompose(model, node, guard)
        return changed


def _decompose(model: ir.Model, node: ir.Node, guard: HalfRange | None) -> bool:
    x, scale, bias = node.inputs[0], given(node, 1), given(node, 2)
    shape = static_shape(x)
    if x is None or x.dtype is None or scale is None or shape is None:
        return False
    parts, first = Replacement(model, node), node.attributes.get_int("axis", -1) or 0
    axes = range(first % len(shape), len(shape))
    stash = x.dtype if guard is not None else ir.DataType(node.attributes.get_int("stash_type", 1) or 1)
    wide = cast(parts, x, stash, "wide")
    epsilon = node.attributes.get_float("epsilon", 1e-5) or 0.0
    found = normalize(parts, wide, axes, epsilon, guard=guard)
    result = parts.make("Mul", [cast(parts, found.value, x.dtype, "narrow"), scale], "gained")
    if bias is not None:
        result = parts.make("Add", [result, bias], "shifted")
    _statistics(parts, node, found)
    parts.finish(result)
    return True


def cast(parts: Replacement, value: ir.Value, dtype: ir.DataType, what: str) -> ir.Value:
    """The value in another element type; itself where it has that type."""
    if value.dtype == dtype:
        return value
    return parts.make("Cast", [value], what, dtype=dtype, attributes=[ir.AttrInt64("to", dtype.value)])


def _statistics(parts: Replacement, node: ir.Node, found: Normalized) -> None:
    """The outputs ``Mean`` and ``InvStdDev``, where somebody reads them, in the type that they are declared in."""
    declared = [output if output.uses() or output.is_graph_output() else None for output in node.outputs[1:]]
    for index, output in enumerate(declared, start=1):
        if output is None or found.mean is None:
            continue
        scale = parts.number(found.scale, f"scale_{index}", like=found.mean)
        deviation = found.deviation
        if index == 2 and found.largest is not None:
            deviation = parts.make("Mul", [deviation, found.largest], "whole_deviation")
        value = parts.make("Div", [found.mean, scale] if index == 1 else [scale, deviation], f"statistic_{index}")
        parts.finish(cast(parts, value, output.dtype or ir.DataType.FLOAT, f"cast_{index}"), index)
