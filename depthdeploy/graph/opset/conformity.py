"""Whether every node is what its operator's definition in one operator set allows."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from depthdeploy.core.support import Rejection
from depthdeploy.graph.opset.site import Unsayable


def disagreements(node: ir.Node, version: int) -> Iterator[Unsayable]:
    """What a node says that the definition of its operator in this set does not know: itself, attributes, types."""
    try:
        schema = onnx.defs.get_schema(node.op_type, version)
    except onnx.defs.SchemaError:
        yield Unsayable(f"opset {version} has no {node.op_type}", node.op_type, "Write it in older operators.")
        return
    for name in node.attributes:
        if name not in schema.attributes:
            yield Unsayable(
                f"opset {version} has no {name} in {node.op_type}", name, "Export the network at an older opset."
            )
    yield from _types(node, schema, version)


def _types(node: ir.Node, schema: onnx.defs.OpSchema, version: int) -> Iterator[Unsayable]:
    same: dict[str, str] = {}  # type variable -> the type that its first value gave it
    for values, formals in ((node.inputs, schema.inputs), (node.outputs, schema.outputs)):
        for index, value in enumerate(values):
            if value is None or not value.name:
                continue
            formal = formals[min(index, len(formals) - 1)] if formals else None
            if formal is None or (index >= len(formals) and formal.option != formal.option.Variadic):
                yield Unsayable(f"opset {version} has fewer ends in {node.op_type}", value.name, "Leave it out.")
            elif value.type is not None:
                written = _written(value.type)
                free = formal.option == formal.option.Variadic and not formal.is_homogeneous
                if written not in formal.types or (not free and same.setdefault(formal.type_str, written) != written):
                    yield Unsayable(
                        f"opset {version} has {node.op_type} of other types",
                        f"{value.name}, a {written}",
                        "Cast to float32 around it.",
                    )
                    return  # the other ends of a node mostly have the same type


def _written(kind: ir.TypeProtocol) -> str:
    """A type as ONNX's definitions write it."""
    match kind:
        case ir.SequenceType():
            return f"seq({_written(kind.elem_type)})"
        case ir.OptionalType():
            return f"optional({_written(kind.elem_type)})"
        case ir.SparseTensorType():
            return f"sparse_tensor({_element(kind.dtype)})"
        case _:
            return f"tensor({_element(kind.dtype)})"


def _element(dtype: ir.DataType) -> str:
    return dtype.name.lower()


def rejection(node: ir.Node, fact: Unsayable) -> Rejection:
    """A refusal as the support check lists it."""
    name = node.name or (node.outputs[0].name if node.outputs else None) or "without a name"
    return Rejection(name, node.op_type, fact.rule, fact.found, fact.remedy)
