"""Chains of reshapes, and chains of transposes, become one or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import bypass, main_nodes, producer, set_constant, static_shape

#: Operators that only read the same values in the same order under another shape.
_VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class ReorderingFusion:
    """``Reshape`` after any view reads the view's input; a view that undoes the one before is taken out with it.

    ``Transpose`` after ``Transpose`` is their composition.
    """

    name: str = "reordering-fusion"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        views = [_fuse_views(model, node) for node in main_nodes(model, *_VIEWS)]
        transposes = [_fuse_transposes(node) for node in main_nodes(model, "Transpose")]
        return any(views) or any(transposes)


def _fuse_views(model: ir.Model, node: ir.Node) -> bool:
    before, shape = producer(node.inputs[0], *_VIEWS), static_shape(node.outputs[0])
    if before is None or shape is None or 0 in shape:
        return False
    if shape == static_shape(before.inputs[0]):
        return bypass(node, before.inputs[0])
    if node.op_type != "Reshape":
        return False
    set_constant(model, node, 1, np.array(shape, dtype=np.int64), "shape")
    node.attributes.pop("allowzero", None)
    node.replace_input_with(0, before.inputs[0])
    return True


def _fuse_transposes(node: ir.Node) -> bool:
    before = producer(node.inputs[0], "Transpose")
    first = None if before is None else before.attributes.get_ints("perm")
    second = node.attributes.get_ints("perm")
    if before is None or first is None or second is None:
        return False
    node.attributes.add(ir.AttrInt64s("perm", [first[axis] for axis in second]))
    node.replace_input_with(0, before.inputs[0])
    return True
