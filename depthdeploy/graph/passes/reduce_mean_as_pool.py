"""The mean over an image is global average pooling, which every accelerator has."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import constant, given, main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.replacement import opset

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True, slots=True)
class ReduceMeanAsPool:
    """``ReduceMean`` over height and width becomes ``GlobalAveragePool``, and ``Reshape`` if it keeps no dimension."""

    name: str = "reduce-mean-as-pool"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "ReduceMean") if opset(model) >= 18 else ():
            x, shape = node.inputs[0], static_shape(node.inputs[0])
            if x is None or shape is None or 0 in shape or x.dtype not in _FLOATS or not _is_spatial(node, len(shape)):
                continue
            parts = Emission(model, node)
            pooled = parts.emit("GlobalAveragePool", x, what="pooled")
            if not node.attributes.get_int("keepdims", 1):
                pooled = parts.emit("Reshape", pooled, parts.whole(shape[:2], "shape"), what="flat")
            parts.finish(pooled)
            changed = True
        return changed


def _is_spatial(node: ir.Node, rank: int) -> bool:
    axes = constant(given(node, 1))
    return rank == 4 and axes is not None and sorted(int(axis) % rank for axis in axes.reshape(-1)) == [2, 3]
