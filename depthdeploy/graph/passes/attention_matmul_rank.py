"""Products of stacks of matrices with one axis for the stack, for chips that multiply three axes at most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, static_shape
from depthdeploy.graph.replacement import Replacement


@dataclass(frozen=True, slots=True)
class MatMulRank:
    """``MatMul`` of more than three axes, as attention's over batch and heads, gets one axis for both.

    Reshapes go before and after. Stacks that would have to be repeated to fit one another stay as they are.
    """

    name: str = "matmul-rank"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "MatMul"):
            changed |= _merge(model, node)
        return changed


def _merge(model: ir.Model, node: ir.Node) -> bool:
    left, right = node.inputs[0], node.inputs[1]
    first, second, result = static_shape(left), static_shape(right), static_shape(node.outputs[0])
    if left is None or right is None or first is None or second is None or result is None:
        return False
    if max(len(first), len(second)) <= 3 or min(len(first), len(second)) < 2:
        return False
    stack, counts = result[:-2], [math.prod(shape[:-2]) for shape in (first, second)]
    total = math.prod(stack)
    if any(count not in (1, total) for count in counts):
        return False
    parts = Replacement(model, node)
    operands = [_reshaped(parts, value, shape, total, f"operand_{index}")
                for index, (value, shape) in enumerate(((left, first), (right, second)))]  # fmt: skip
    product = parts.make("MatMul", operands, "product", shape=ir.Shape([total, *result[-2:]]))
    parts.finish(_reshape(parts, product, result, "stacked"))
    return True


def _reshaped(parts: Replacement, value: ir.Value, shape: Sequence[int], total: int, what: str) -> ir.Value:
    """An operand of two axes where it has one matrix, of three where it has one for every result."""
    count = math.prod(shape[:-2])
    wanted = [*([total] if count == total else []), *shape[-2:]]
    return value if wanted == [*shape] else _reshape(parts, value, wanted, what)


def _reshape(parts: Replacement, value: ir.Value, shape: Sequence[int], what: str) -> ir.Value:
    target = parts.constant(np.array(shape, dtype=np.int64), f"{what}_shape")
    return parts.make("Reshape", [value, target], what, shape=ir.Shape(shape))
