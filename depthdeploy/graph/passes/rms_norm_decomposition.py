"""Normalisation by the root mean square in single operators."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, static_shape
from depthdeploy.graph.passes.layer_norm_arithmetic import HalfRange, normalize
from depthdeploy.graph.passes.layer_norm_decomposition import cast
from depthdeploy.graph.replacement import Replacement, opset


@dataclass(frozen=True, slots=True)
class RmsNormDecomposition:
    """``RMSNormalization`` (opset 23) becomes ``Mul, ReduceMean, Add, Sqrt, Div, Mul``.

    The options are those of :class:`LayerNormDecomposition`; here the squares are of the activations themselves, so the
    power of two of :class:`HalfRange` may be twice as large.
    """

    guard_fp16: bool = False
    max_abs: float = 8192.0
    half_sums: bool = False
    by_row: bool = False
    name: str = "rms-norm-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed.

        Raises:
            UsageError: ``max_abs`` is not positive, or more than float16 holds.
        """
        guard = HalfRange(self.max_abs, self.half_sums, self.by_row) if self.guard_fp16 else None
        changed = False
        for node in main_nodes(model, "RMSNormalization") if opset(model) >= 18 else ():
            changed |= _decompose(model, node, guard)
        return changed


def _decompose(model: ir.Model, node: ir.Node, guard: HalfRange | None) -> bool:
    x, gain = node.inputs[0], node.inputs[1]
    shape = static_shape(x)
    if x is None or x.dtype is None or gain is None or shape is None:
        return False
    parts, first = Replacement(model, node), node.attributes.get_int("axis", -1) or 0
    stash = x.dtype if guard is not None else ir.DataType(node.attributes.get_int("stash_type", 1) or 1)
    epsilon = node.attributes.get_float("epsilon", 1e-5) or 0.0
    axes = range(first % len(shape), len(shape))
    wide = cast(parts, x, stash, "wide")
    normalized = normalize(parts, wide, axes, epsilon, guard=guard, centred=False).value
    parts.finish(parts.make("Mul", [cast(parts, normalized, x.dtype, "narrow"), gain], "gained"))
    return True
