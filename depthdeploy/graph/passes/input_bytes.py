"""The image, which came as whole numbers in float32, comes as uint8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from depthdeploy.graph.edit import add_initializer, constant, given, only_consumer, producer, scalar, static_shape


@dataclass(frozen=True, slots=True)
class InputBytes:
    """Pixels enter as uint8.

    Where they are quantized on the grid of whole numbers - scale 1, and the zero point that was subtracted from them -
    the bytes are the integers already: quantization, subtraction and the join with a constant channel vanish, and the
    first integer kernel reads the camera's bytes. Everything else reads them through a ``Cast``.

    The law: the graph afterwards gives for bytes what it gave before for the same numbers in float32.
    """

    name: str = "input-bytes"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        image = model.graph.inputs[0]
        if image.dtype != ir.DataType.FLOAT or not tuple(image.uses()):
            return False
        real = _cast(model, image)
        for quantizer in _quantizers(real):
            _replace(quantizer, image)
        for node in tuple(model.graph):
            if node.op_type == "Concat":
                _join(model, node, image)
        common.RemoveUnusedNodesPass()(model)
        return True


def _cast(model: ir.Model, image: ir.Value) -> ir.Value:
    """The image's bytes as float32, read by all that read the image."""
    node = ir.Node("", "Cast", [], [ir.AttrInt64("to", ir.DataType.FLOAT)], num_outputs=1, name=f"{image.name}_float")
    real = node.outputs[0]
    real.name, real.type, real.shape = node.name, ir.TensorType(ir.DataType.FLOAT), image.shape
    image.replace_all_uses_with(real)
    node.resize_inputs(1)
    node.replace_input_with(0, image)
    image.type = ir.TensorType(ir.DataType.UINT8)
    model.graph.insert_before(model.graph[0], node)
    return real


def _quantizers(real: ir.Value) -> list[ir.Node]:
    """The nodes whose integers are the image's bytes."""
    found = []
    for node, index in tuple(real.uses()):
        if _on_pixels(node, index, 0):
            found.append(node)
        centre = scalar(given(node, 1)) if node.op_type == "Sub" and node.domain == "" and index == 0 else None
        if centre is not None:
            found += [use for use, place in node.outputs[0].uses() if _on_pixels(use, place, centre)]
    return found


def _on_pixels(node: ir.Node, index: int, zero_point: float) -> bool:
    """Whether a node quantizes with scale 1 and a zero point to uint8."""
    if node.op_type != "QuantizeLinear" or index != 0 or scalar(given(node, 1)) != 1.0:
        return False
    zero = constant(given(node, 2))
    return zero is not None and zero.dtype == np.uint8 and zero.size == 1 and float(zero.reshape(())) == zero_point


def _replace(node: ir.Node, integers: ir.Value) -> None:
    node.outputs[0].replace_all_uses_with(integers)


def _join(model: ir.Model, node: ir.Node, image: ir.Value) -> None:
    """``Q(Concat(DQ(bytes), constants))`` on one grid is a ``Concat`` of integers."""
    quantizer = only_consumer(node.outputs[0])
    zero = None if quantizer is None else scalar(given(quantizer, 2))
    if quantizer is None or zero is None or not _on_pixels(quantizer, 0, zero):
        return
    integers = [_integers(model, value, image, zero) for value in node.inputs]
    present = [value for value in integers if value is not None]
    if image not in present or len(present) < len(integers) or node.graph is None:
        return
    attributes = [ir.AttrInt64("axis", node.attributes.get_int("axis") or 0)]
    joined = ir.Node("", "Concat", present, attributes, num_outputs=1, name=f"{node.name}_bytes")
    out = joined.outputs[0]
    out.name, out.type, out.shape = joined.name, ir.TensorType(ir.DataType.UINT8), node.outputs[0].shape
    node.graph.insert_before(node, joined)
    _replace(quantizer, out)


def _integers(model: ir.Model, value: ir.Value | None, image: ir.Value, zero: float) -> ir.Value | None:
    """The integers of one part of a join: the image's bytes, or a constant that lies on their grid."""
    array = constant(value)
    if array is not None and value is not None:
        stored = array.astype(np.float64) + zero
        whole = bool((np.rint(stored) == stored).all() and stored.min() >= 0 and stored.max() <= 255)
        return add_initializer(model, f"{value.name}_bytes", stored.astype(np.uint8)) if whole else None
    real = producer(value, "DequantizeLinear")
    if real is None or real.inputs[0] is not image or scalar(real.inputs[1]) != 1.0:
        return None
    return image if (scalar(given(real, 2)) or 0.0) == zero and static_shape(image) is not None else None
