"""Instance normalisation in single operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, main_nodes, static_shape
from depthdeploy.graph.passes.layer_norm_arithmetic import HalfRange, normalize
from depthdeploy.graph.replacement import Replacement, opset


@dataclass(frozen=True, slots=True)
class InstanceNormDecomposition:
    """``InstanceNormalization`` becomes ``ReduceMean, Sub, Mul, ReduceMean, Add, Sqrt, Div, Mul, Add``.

    PyTorch's exporter writes group normalisation (the convolutional half of DPT-Hybrid) as instance normalisation of
    ``[N, groups, -1]``. The options are those of :class:`LayerNormDecomposition`; factors of 1 and shifts of 0, as that
    exporter writes them, get no node.
    """

    guard_fp16: bool = False
    max_abs: float = 8192.0
    half_sums: bool = False
    by_row: bool = False
    name: str = "instance-norm-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed.

        Raises:
            UsageError: ``max_abs`` is not positive, or more than float16 holds.
        """
        guard = HalfRange(self.max_abs, self.half_sums, self.by_row) if self.guard_fp16 else None
        changed = False
        for node in main_nodes(model, "InstanceNormalization") if opset(model) >= 18 else ():
            changed |= _decompose(model, node, guard)
        return changed


def _decompose(model: ir.Model, node: ir.Node, guard: HalfRange | None) -> bool:
    x, shape = node.inputs[0], static_shape(node.inputs[0])
    gain, shift = constant(node.inputs[1]), constant(node.inputs[2])
    if x is None or x.dtype is None or shape is None or len(shape) < 3 or gain is None or shift is None:
        return False
    parts, each = Replacement(model, node), (-1,) + (1,) * (len(shape) - 2)
    epsilon = node.attributes.get_float("epsilon", 1e-5) or 0.0
    result = normalize(parts, x, range(2, len(shape)), epsilon, guard=guard).value
    if (gain != 1).any():
        result = parts.make("Mul", [result, parts.constant(np.reshape(gain, each), "gain")], "gained")
    if (shift != 0).any():
        result = parts.make("Add", [result, parts.constant(np.reshape(shift, each), "shift")], "shifted")
    parts.finish(result)
    return True
