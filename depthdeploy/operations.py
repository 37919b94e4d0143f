"""The work of a node."""

from __future__ import annotations

import math

import onnx_ir as ir

from depthdeploy.errors import ModelError


def macs_of(node: ir.Node) -> int:
    """Multiply-accumulate operations of one node; operators that are not listed count nothing.

    With ``|y|`` the number of output values and ``|w|`` the number of weights:

    - ``Conv``: ``|y| * in_channels / group * kernel``, which is ``|y| * |w| / out_channels``;
    - ``ConvTranspose``: ``|x| * out_channels / group * kernel``, which is ``|x| * |w| / in_channels``;
    - ``Gemm``, ``MatMul``: ``|y| * k``, ``k`` the length of the sums.

    Biases, activations, normalisations and resizes count nothing.

    Raises:
        ModelError: a shape is not static.
    """
    if node.domain != "" or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    if len(node.inputs) < 2 or not node.outputs:
        raise ModelError(f"{node.name or node.op_type} ({node.op_type}) lacks an input.", "Export the network anew.")
    first, second, result = (_static_shape(value) for value in (node.inputs[0], node.inputs[1], node.outputs[0]))
    if first is None or second is None or result is None:
        raise ModelError(
            f"{node.name or node.outputs[0].name} ({node.op_type}) has no static shape, so its operations cannot be "
            "counted.",
            "Give the network a size: --size HxW.",
        )
    match node.op_type:
        case "Conv":
            return math.prod(result) * math.prod(second) // second[0]
        case "ConvTranspose":
            return math.prod(first) * math.prod(second) // second[0]
        case "Gemm":
            return math.prod(result) * first[0 if node.attributes.get_int("transA", 0) else 1]
        case _:
            return math.prod(result) * first[-1]


def work_of(node: ir.Node) -> int:
    """Multiply-accumulate operations, and for a node without any one operation per output value; at least 1.

    Raises:
        ModelError: a shape is not static.
    """
    shapes = (_static_shape(value) for value in node.outputs)
    return max(1, macs_of(node) or sum(math.prod(shape) for shape in shapes if shape is not None))


def _static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(value.shape.numpy())
