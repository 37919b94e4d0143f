from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common


@dataclass(frozen=True, slots=True)
class ShapeInference:
    """Every value gets the shape and element type that ONNX infers for it."""

    name: str = "shape-inference"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed.

        What ONNX cannot infer is left as it is: a shape known from elsewhere is never forgotten.
        """
        values = tuple(value for node in model.graph for value in node.outputs)
        known = {value: (value.shape, value.dtype) for value in values}
        common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
        changed = False
        for value, (shape, dtype) in known.items():
            if shape is not None and shape.is_static() and (value.shape is None or not value.shape.is_static()):
                value.shape = shape
            changed |= (value.shape, value.dtype) != (shape, dtype)
        return changed
