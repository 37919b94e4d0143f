from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir
from onnx_ir.passes import common

#: Operators that make what is no tensor. ONNX's inference is right about them, onnx-ir writes a tensor's type for each.
_NO_TENSORS: Final = frozenset(
    {"Optional", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap",
     "SplitToSequence"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShapeInference:
    """Every value gets the shape and element type that ONNX infers for it; graphs with sequences are left alone."""

    name: str = "shape-inference"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed.

        What ONNX cannot infer is left as it is: a shape known from elsewhere is never forgotten.
        """
        if not _tensors_alone(model):
            return False
        known = {value: (value.shape, value.dtype) for value in _values(model)}
        constants = tuple(model.graph.initializers.values())
        common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
        for constant in constants:  # onnx-ir puts the large ones behind the others
            held = model.graph.initializers.pop(str(constant.name), None)
            if held is not None:
                model.graph.initializers.add(held)
        changed = False
        for value, (shape, dtype) in known.items():
            if shape is not None and shape.is_static() and (value.shape is None or not value.shape.is_static()):
                value.shape = shape
            changed |= (value.shape, value.dtype) != (shape, dtype)
        return changed


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """The values of the graph and of the graphs within, constants too."""
    for graph in model.graphs():
        yield from graph.inputs
        yield from graph.initializers.values()
        for node in graph:
            yield from node.outputs


def _tensors_alone(model: ir.Model) -> bool:
    if any(node.op_type in _NO_TENSORS for node in model.graph.all_nodes()):
        return False
    return all(value.type is None or isinstance(value.type, ir.TensorType) for value in _values(model))
