"""A split is as many slices as it has parts, for parsers with one output a layer."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.replacement import opset


@dataclass(frozen=True, slots=True)
class SplitAsSlice:
    """``Split`` into parts of known sizes becomes a ``Slice`` for every part that is read."""

    name: str = "split-as-slice"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Split") if opset(model) >= 13 else ():
            changed |= _slice(model, node)
        return changed


def _slice(model: ir.Model, node: ir.Node) -> bool:
    x, shape = node.inputs[0], static_shape(node.inputs[0])
    parts = [static_shape(output) for output in node.outputs]
    if x is None or shape is None or any(part is None for part in parts):
        return False
    axis = (node.attributes.get_int("axis", 0) or 0) % len(shape)
    sizes = [part[axis] for part in parts if part is not None]
    if sum(sizes) != shape[axis]:
        return False
    emission, start, slices = Emission(model, node), 0, []
    for index, (output, size) in enumerate(zip(node.outputs, sizes, strict=True)):
        read = bool(output.uses()) or output.is_graph_output()
        bounds = [([start], "start"), ([start + size], "end"), ([axis], "axis")]
        ends = [emission.whole(number, f"{what}_{index}") for number, what in bounds] if read else []
        slices.append(emission.emit("Slice", x, *ends, what=f"part_{index}") if read else None)
        start += size
    if not any(part is not None for part in slices):
        return False
    emission.finish_all(slices)
    return True
