"""The dimension order of the image changes at the network's door."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.core.depth import Layout
from depthdeploy.graph.edit import static_shape

#: The permutation that brings a tensor of a layout to the other one.
_TO_OTHER = {Layout.NCHW: (0, 2, 3, 1), Layout.NHWC: (0, 3, 1, 2)}


@dataclass(frozen=True, slots=True)
class InputLayout:
    """The image, which came in the other layout, comes in this one.

    A ``Transpose`` that brought the old layout to the new one vanishes; everything else reads the image through a
    ``Transpose``.

    The law: the graph afterwards gives for the transposed image what it gave before.

    Attributes:
        layout: of the image afterwards.
    """

    layout: Layout
    name: str = "input-layout"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed: nothing where the image's shape is not known."""
        image = model.graph.inputs[0]
        before = static_shape(image)
        if before is None or len(before) != 4:
            return False
        old = Layout.NHWC if self.layout is Layout.NCHW else Layout.NCHW
        forth, back = _TO_OTHER[old], _TO_OTHER[self.layout]
        uses = tuple(image.uses())
        image.shape = ir.Shape([before[axis] for axis in forth])
        kept = [(node, index) for node, index in uses if not _vanishes(node, image, forth)]
        if kept:
            turned = _transposed(model, image, back, before)
            for node, index in kept:
                node.replace_input_with(index, turned)
        return True


def _vanishes(node: ir.Node, image: ir.Value, order: tuple[int, ...]) -> bool:
    """Take a ``Transpose`` out whose output the image now is."""
    if node.domain != "" or node.op_type != "Transpose" or node.outputs[0].is_graph_output():
        return False
    if tuple(node.attributes.get_ints("perm", ()) or ()) != order or node.graph is None:
        return False
    node.outputs[0].replace_all_uses_with(image)
    node.graph.remove(node, safe=True)
    return True


def _transposed(model: ir.Model, image: ir.Value, order: tuple[int, ...], shape: tuple[int, ...]) -> ir.Value:
    attributes = [ir.AttrInt64s("perm", list(order))]
    node = ir.Node("", "Transpose", [image], attributes, num_outputs=1, name=f"{image.name}_transposed")
    turned = node.outputs[0]
    turned.name, turned.type, turned.shape = node.name, image.type, ir.Shape(shape)
    model.graph.insert_before(model.graph[0], node)
    return turned
