"""A ``Pad`` of zeros before a convolution becomes the convolution's own padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, given, main_nodes, producer, static_shape


@dataclass(frozen=True, slots=True)
class PadFolding:
    """``Conv(Pad(x))`` becomes ``Conv(x)``: TensorFlow's SAME rule comes out of PyTorch as a ``Pad`` of its own."""

    name: str = "pad-folding"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Conv"):
            before = producer(node.inputs[0], "Pad")
            extra = None if before is None else _spatial_zeros(before)
            if before is None or extra is None or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
                continue
            own = node.attributes.get_ints("pads", [0] * len(extra)) or [0] * len(extra)
            node.attributes.add(ir.AttrInt64s("pads", [a + b for a, b in zip(own, extra, strict=True)]))
            node.replace_input_with(0, before.inputs[0])
            changed = True
        return changed


def _spatial_zeros(pad: ir.Node) -> list[int] | None:
    """``[begin..., end...]`` of the spatial axes, when nothing but zeros is added and nowhere else."""
    shape, pads = static_shape(pad.inputs[0]), constant(given(pad, 1))
    if shape is None or pads is None or pad.attributes.get_string("mode", "constant") != "constant":
        return None
    filler = given(pad, 2)
    if filler is not None and not (constant(filler) is not None and np.all(constant(filler) == 0)):
        return None
    rank, listed = len(shape), given(pad, 3)
    chosen = list(range(rank)) if listed is None else constant(listed)
    if chosen is None:
        return None
    begins, ends = [0] * rank, [0] * rank
    for position, axis in enumerate(chosen):
        begins[int(axis) % rank] = int(pads[position])
        ends[int(axis) % rank] = int(pads[position + len(chosen)])
    if any(begins[:2]) or any(ends[:2]) or min(*begins, *ends) < 0:
        return None
    return [*begins[2:], *ends[2:]]
