"""The image of a network that normalises itself: pixels are integers, and 8 bits hold them without any rounding."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from depthdeploy.core.depth import InputForm
from depthdeploy.core.model import OnnxModel
from depthdeploy.quantization import topology

#: The largest pixel value.
_WHITE = 255.0


def pixel_ranges(model: OnnxModel) -> Mapping[str, tuple[float, float]]:
    """The tensors that hold whole pixel values, and the ranges for which 256 integers are exact, whatever was seen.

    The image ``[0, 255]``, and the image less a whole number, ``[-c, 255 - c]``: a grid of scale 1 with the zero point
    ``c``. Nothing for a network whose input is normalised outside.
    """
    if model.contract.form is InputForm.NORMALIZED:
        return {}
    image = topology.load(model).graph.inputs[0]
    found = {topology.name_of(image): (0.0, _WHITE)}
    for use in image.uses():
        centre = _centre(use.node) if use.idx == 0 else None
        if centre is not None:
            found[topology.name_of(use.node.outputs[0])] = (-centre, _WHITE - centre)
    return found


def _centre(node: ir.Node) -> float | None:
    """The whole pixel value that a node subtracts from an image."""
    subtracted = topology.constant(node.inputs[1]) if node.op_type == "Sub" and node.domain == "" else None
    if subtracted is None or subtracted.size != 1:
        return None
    centre = float(subtracted.reshape(-1)[0])
    return centre if centre.is_integer() and 0 <= centre <= _WHITE else None
