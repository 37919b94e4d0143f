"""A transposed convolution whose windows do not overlap is a pointwise convolution and a move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import constant, given, main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.passes.conv_transpose_geometry import geometry
from depthdeploy.graph.replacement import opset


@dataclass(frozen=True, slots=True)
class ConvTransposeAsDepthToSpace:
    """``ConvTranspose`` with kernel and stride ``k`` becomes a 1x1 ``Conv`` and ``DepthToSpace`` of blocks of ``k``.

    With ``y[c, k i + u, k j + v] = sum_d x[d, i, j] w[d, c, u, v]`` (Shi et al. 2016) the channels of the convolution
    are ``(c, u, v)``, and in the mode DCR ``(u, v, c)``. Groups keep their channels together in CRD alone.

    Attributes:
        mode: the order of the channels; DCR is the one that parsers knew before opset 11.
    """

    mode: Literal["DCR", "CRD"] = "DCR"
    name: str = "conv-transpose-as-depth-to-space"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "ConvTranspose") if opset(model) >= 13 else ():
            changed |= _fits(node, self.mode) and self._rewrite(model, node)
        return changed

    def _rewrite(self, model: ir.Model, node: ir.Node) -> bool:
        x, weight, bias = node.inputs[0], constant(node.inputs[1]), constant(given(node, 2))
        if x is None or weight is None or (bias is None and given(node, 2) is not None):
            return False
        parts, block, group = Emission(model, node), weight.shape[2], node.attributes.get_int("group", 1) or 1
        operands = [parts.constant(self._weight(weight, group), "weight")]
        if bias is not None:
            each = np.repeat(bias, block**2) if self.mode == "CRD" else np.tile(bias, block**2)
            operands.append(parts.constant(each, "bias"))
        deep = parts.emit("Conv", x, *operands, what="deep", kernel_shape=[1, 1], group=group)
        parts.finish(parts.emit("DepthToSpace", deep, what="spread", blocksize=block, mode=self.mode))
        return True

    def _weight(self, weight: NDArray[np.generic], group: int) -> NDArray[np.generic]:
        """``[in, out / group, k, k]`` becomes ``[out k^2, in / group, 1, 1]``."""
        inner, out, rows, columns = weight.shape
        grouped = weight.reshape(group, inner // group, out, rows, columns)
        order = (0, 2, 3, 4, 1) if self.mode == "CRD" else (0, 3, 4, 2, 1)
        return grouped.transpose(order).reshape(-1, inner // group, 1, 1)


def _fits(node: ir.Node, mode: str) -> bool:
    found, shape = geometry(node), static_shape(node.inputs[0])
    if found is None or shape is None or len(found.kernel) != 2 or 0 in shape:
        return False
    square = found.kernel == found.strides and found.kernel[0] == found.kernel[1] and found.kernel[0] > 1
    plain = not any((*found.pads, *found.padding)) and set(found.dilations) == {1}
    return square and plain and (mode == "CRD" or node.attributes.get_int("group", 1) == 1)
