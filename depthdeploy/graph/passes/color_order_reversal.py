"""The network takes its channels in the opposite order: BGR where it took RGB, RGB where it took BGR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import add_initializer, constant, set_constant


@dataclass(frozen=True, slots=True)
class ColorOrderReversal:
    """The weights of the convolutions that read the image ``[1, 3, H, W]`` are put in the opposite order: exact, free.

    Whatever else reads the image reads it through a ``Gather`` that puts the channels back in order.

    The law: the graph afterwards gives for reversed channels what it gave before.
    """

    name: str = "color-order-reversal"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; always changes something."""
        image = model.graph.inputs[0]
        others = [(node, index) for node, index in tuple(image.uses()) if not _reversed(model, node, index)]
        if others:
            ordered = _gathered(model, image)
            for node, index in others:
                node.replace_input_with(index, ordered)
        return True


def _reversed(model: ir.Model, node: ir.Node, index: int) -> bool:
    """Reverse a convolution's weights along the image's channels, where it is one and reads the image once."""
    if node.domain != "" or node.op_type != "Conv" or index != 0 or (node.attributes.get_int("group", 1) or 1) != 1:
        return False
    weight = constant(node.inputs[1])
    if weight is None:
        return False
    set_constant(model, node, 1, np.ascontiguousarray(weight[:, ::-1]), "weight")
    return True


def _gathered(model: ir.Model, image: ir.Value) -> ir.Value:
    order = add_initializer(model, f"{image.name}_channels", np.asarray([2, 1, 0], np.int64))
    node = ir.Node(
        "", "Gather", [image, order], [ir.AttrInt64("axis", 1)], num_outputs=1, name=f"{image.name}_reordered"
    )
    ordered = node.outputs[0]
    ordered.name, ordered.type, ordered.shape = node.name, image.type, image.shape
    model.graph.insert_before(model.graph[0], node)
    return ordered
