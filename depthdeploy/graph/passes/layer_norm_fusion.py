"""Layer normalisation in single operators becomes the operator that has its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import main_nodes, only_consumer, producer, scalar, static_shape
from depthdeploy.graph.passes.layer_norm_spellings import Spelled, affine, other, spelled
from depthdeploy.graph.replacement import Replacement, opset

_FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True, slots=True)
class LayerNormFusion:
    """Centring, scaling to variance 1, and the gain and shift behind them become ``LayerNormalization`` (opset 17).

    A positive constant factor before it goes into epsilon: ``(sx - mean(sx)) / sqrt(s^2 var(x) + e)`` is the
    normalisation of ``x`` with ``e / s^2``. Mean and variance are of float32, whatever the activations are.
    """

    name: str = "layer-norm-fusion"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for root in main_nodes(model, "Sqrt", "Pow") if opset(model) >= 17 else ():
            for found in [*spelled(root)]:
                changed |= _fuse(model, found)
        return changed


def _fuse(model: ir.Model, found: Spelled) -> bool:
    end, x, epsilon = found.node, found.x, found.epsilon
    factored = producer(x, "Mul")
    if factored is not None:
        x, epsilon = _without_factor(factored, x, epsilon)
    x, end = _without_casts(x, end)
    shape = static_shape(x)
    if shape is None or x.dtype not in _FLOATS:
        return False
    inner = shape[len(shape) - found.axes :]
    end, gain = _constant_behind(end, "Mul", inner, np.ones(inner))
    end, shift = _constant_behind(end, "Add", inner, np.zeros(inner))
    kind, parts = x.dtype.numpy(), Replacement(model, end)
    inputs = [x, parts.constant((found.sign * gain).astype(kind), "gain")]
    if shift.any():
        inputs.append(parts.constant(shift.astype(kind), "shift"))
    attributes = (ir.AttrInt64("axis", -found.axes), ir.AttrFloat32("epsilon", epsilon))
    parts.finish(parts.make("LayerNormalization", inputs, "fused", shape=x.shape, attributes=attributes))
    return True


def _without_factor(node: ir.Node, x: ir.Value, epsilon: float) -> tuple[ir.Value, float]:
    for index in (0, 1):
        factor, source = scalar(node.inputs[index]), node.inputs[1 - index]
        if factor is not None and factor > 0 and source is not None and static_shape(source) == static_shape(x):
            return source, epsilon / factor**2
    return x, epsilon


def _without_casts(x: ir.Value, end: ir.Node) -> tuple[ir.Value, ir.Node]:
    """Casts to float32 before and back behind, which the operator makes by itself."""
    before, behind = producer(x, "Cast"), only_consumer(end.outputs[0])
    if before is None or behind is None or behind.op_type != "Cast" or before.inputs[0] is None:
        return x, end
    source = before.inputs[0]
    narrow = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    if x.dtype != ir.DataType.FLOAT or source.dtype not in narrow or behind.outputs[0].dtype != source.dtype:
        return x, end
    return source, behind


def _constant_behind(
    end: ir.Node, operator: str, shape: tuple[int, ...], without: NDArray[np.float64]
) -> tuple[ir.Node, NDArray[np.float64]]:
    """The gain or shift that is the only reader of ``end``, and the array of it; ``without`` where there is none."""
    node = only_consumer(end.outputs[0])
    if node is None or node.domain != "" or node.op_type != operator or other(node, end.outputs[0]) is end.outputs[0]:
        return end, without
    array = affine(node, shape)
    if array is None or static_shape(node.outputs[0]) != static_shape(end.outputs[0]):
        return end, without
    return node, array.astype(np.float64)
