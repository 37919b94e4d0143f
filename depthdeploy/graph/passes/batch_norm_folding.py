"""Batch normalisation at inference is a scale and a shift per channel: they go into the layer before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import bypass, constant, main_nodes, only_consumer
from depthdeploy.graph.linear import linear


@dataclass(frozen=True, slots=True)
class BatchNormFolding:
    """``BatchNormalization`` after ``Conv``, ``ConvTranspose`` or ``Gemm`` goes into its weight and bias.

    ``y = gain * (x - mean) / sqrt(var + epsilon) + shift`` (Ioffe and Szegedy 2015), in float64.
    """

    name: str = "batch-norm-folding"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "BatchNormalization"):
            source = node.inputs[0]
            affine = scale_and_shift(node)
            before = None if source is None or only_consumer(source) is not node else linear(source.producer())
            if affine is None or before is None or before.node.op_type == "MatMul":
                continue
            if before.channels == affine[0].size and bypass(node):
                before.apply(model, *affine)
                changed = True
        return changed


def scale_and_shift(node: ir.Node) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The two factors of a ``BatchNormalization`` with constant statistics, each ``[channels]``."""
    arrays = [constant(value) for value in node.inputs[1:5]]
    if node.attributes.get_int("training_mode", 0) or any(array is None for array in arrays):
        return None
    gain, shift, mean, variance = (np.asarray(array, dtype=np.float64) for array in arrays)
    scale = gain / np.sqrt(variance + (node.attributes.get_float("epsilon", 1e-5) or 0.0))
    return scale, shift - mean * scale
