"""Attributes of a node as its operator defines them: what is not written has its default."""

from __future__ import annotations

import onnx
import onnx_ir as ir


def attribute(node: ir.Node, name: str, version: int) -> object:
    """An attribute's value, or the default of the operator's definition; ``None`` where it has neither."""
    given = node.attributes.get(name)
    if given is not None:
        value: object = given.value
        return value
    try:
        schema = onnx.defs.get_schema(node.op_type, version)
    except onnx.defs.SchemaError:
        return None
    definition = schema.attributes.get(name)
    if definition is None or not definition.default_value.name:
        return None
    value = onnx.helper.get_attribute_value(definition.default_value)
    return value.decode() if isinstance(value, bytes) else value


def whole(node: ir.Node, name: str, version: int) -> int | None:
    """A whole number, or ``None``."""
    value = attribute(node, name, version)
    return value if isinstance(value, int) else None


def opset_of(model: ir.Model) -> int:
    """The version of the default domain; 0 where the graph does not say it."""
    return model.opset_imports.get("") or model.opset_imports.get("ai.onnx") or 0
