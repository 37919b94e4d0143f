"""PyTorch's guard against fully masked attention rows is removed where no row can be masked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import bypass, constant, given, main_nodes, producer, scalar

#: Operators that give finite values for finite values, below overflow.
_FINITE = frozenset(
    {"Abs", "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace",
     "Erf", "Expand", "Flatten", "Gather", "Gelu", "Gemm", "GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity",
     "InstanceNormalization", "LayerNormalization", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Neg", "PRelu", "Pad",
     "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax",
     "Split", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze"}
)  # fmt: skip

#: A constant of this size is a mask: the lowest float32 plus a score may already be minus infinity.
_MASK = 1e30


@dataclass(frozen=True, slots=True)
class NanGuardRemoval:
    """``Where(IsNaN(s), c, s)`` becomes ``s`` when ``s = Softmax(x)`` and ``x`` is provably finite.

    Softmax of a row is NaN only when the row holds NaN or plus infinity, or nothing but minus infinity. ``x`` is finite
    when it is made from the image and from constants below ``1e30`` by operators that give finite values for finite
    values, and by divisions by constants that are not zero. A mask of minus infinity, or of the lowest float, fails
    this proof, and the guard stays. Images are finite; overflow of float32 is outside the proof.
    """

    name: str = "nan-guard-removal"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        guards = [node for node in main_nodes(model, "Where") if _guarded(node) is not None]
        if not guards:
            return False
        finite = _finite_values(model)
        removed = False
        for node in guards:
            scores = _guarded(node)
            if scores is not None and scores in finite:
                removed |= bypass(node, scores)
        return removed


def _guarded(node: ir.Node) -> ir.Value | None:
    """The softmax that a ``Where`` guards, when it is such a guard."""
    condition = producer(node.inputs[0], "IsNaN")
    scores = node.inputs[2]
    if condition is None or scores is None or condition.inputs[0] is not scores or scalar(node.inputs[1]) is None:
        return None
    return scores if producer(scores, "Softmax") is not None else None


def _finite_values(model: ir.Model) -> frozenset[ir.Value]:
    """The values that are finite for every finite image. Nodes are in topological order, so one pass is enough."""
    finite: set[ir.Value] = set(model.graph.inputs)
    for node in model.graph:
        values = [value for value in node.inputs if value is not None]
        if _keeps_finite(node) and all(value in finite or _moderate(value) for value in values):
            finite.update(node.outputs)
    return frozenset(finite)


def _keeps_finite(node: ir.Node) -> bool:
    if node.domain != "":
        return False
    if node.op_type == "Div":
        divisor = constant(node.inputs[1])
        return divisor is not None and bool(np.all(np.abs(divisor) > 1e-30))
    if node.op_type == "Where":
        return _guarded(node) is not None
    if node.op_type == "BatchNormalization":
        variance = constant(given(node, 4))
        return (
            variance is not None
            and bool(np.all(np.asarray(variance, np.float64) >= 0))
            and node.attributes.get_float("epsilon", 1e-5) != 0
        )
    return node.op_type in _FINITE


def _moderate(value: ir.Value) -> bool:
    array = constant(value)
    if array is None:
        return False
    return array.dtype.kind not in "fc" or bool(np.all(np.abs(array) < _MASK))  # false for NaN too
