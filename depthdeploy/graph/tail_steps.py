"""The operations of a host's tail in words: what a programmer of the host needs to write them again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.host_tail import HostStep
from depthdeploy.graph.edit import constant, static_shape

#: Constants of up to so many values are told one by one.
_TOLD = 4


def host_step(node: ir.Node) -> HostStep:
    """One operation with its constants, its attributes and, where they change, its sizes."""
    parts = [*_constants(node), *_attributes(node), *_sizes(node)]
    return HostStep(node.name or str(node.outputs[0].name), node.op_type, ", ".join(parts))


def _constants(node: ir.Node) -> list[str]:
    """Operands of arithmetic; shapes and scales of moves are told as sizes."""
    if node.op_type not in ("Add", "Clip", "Div", "Max", "Min", "Mul", "Pow", "Sub"):
        return []
    found = [(index, constant(value)) for index, value in enumerate(node.inputs) if value is not None]
    first = "first operand " if found and found[0][1] is not None else ""
    return [first + " and ".join(_numbers(array) for _, array in found if array is not None)]


def _numbers(array: NDArray[np.generic]) -> str:
    values = array.reshape(-1)
    if values.size > _TOLD:
        return f"a constant {list(array.shape)}"
    return "/".join(f"{float(value):g}" for value in values)


def _attributes(node: ir.Node) -> list[str]:
    """Attributes that matter to the values: modes, axes, orders, element types."""
    told = []
    kept = _of_resize(node) if node.op_type == "Resize" else node.attributes.values()
    for attribute in kept:
        if attribute.type is ir.AttributeType.STRING:
            told.append(f"{attribute.name} {attribute.as_string()}")
        elif attribute.type is ir.AttributeType.INTS:
            told.append(f"{attribute.name} {'/'.join(str(number) for number in attribute.as_ints())}")
        elif attribute.name == "to":
            told.append(f"to {ir.DataType(attribute.as_int()).name.lower()}")
        elif attribute.type is ir.AttributeType.FLOAT:
            told.append(f"{attribute.name} {attribute.as_float():g}")
        elif attribute.type is ir.AttributeType.INT and attribute.as_int():
            told.append(f"{attribute.name} {attribute.as_int()}")
    return told


def _of_resize(node: ir.Node) -> list[ir.Attr]:
    """The attributes that its mode looks at; exporters write all of them."""
    mode = node.attributes.get_string("mode", "nearest")
    wanted = ["mode", "coordinate_transformation_mode", "antialias"]
    wanted += {"nearest": ["nearest_mode"], "cubic": ["cubic_coeff_a", "exclude_outside"]}.get(mode or "", [])
    return [node.attributes[name] for name in wanted if name in node.attributes]


def _sizes(node: ir.Node) -> list[str]:
    before = next((static_shape(value) for value in node.inputs if value is not None and constant(value) is None), None)
    after = static_shape(node.outputs[0])
    return [] if before is None or before == after or after is None else [f"{_shape(before)} -> {_shape(after)}"]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
