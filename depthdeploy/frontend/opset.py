"""Foreign graphs brought to the operator set that the passes and targets are written for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnx.numpy_helper import to_array

from depthdeploy.errors import ModelError

#: The oldest operator set that the rest of the pipeline reads.
OLDEST = 18

#: What ``Resize`` means since opset 11 where a graph does not say it.
_SINCE_11 = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the default domain; 1 in files so old that they do not name one."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def upgrade(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function at opset 18 or later, every ``Resize`` with its coordinate rule spelled out.

    ONNX's own converter turns the ``Resize`` of opset 10 into one of opset 11 without a rule, whose default is another
    function: the rule is put back here.

    Raises:
        ModelError: ONNX cannot convert an operator of the graph; its message is kept.
    """
    before = opset_of(model)
    names = {node.output[0]: node.name for node in model.graph.node if node.output}
    if before < OLDEST:
        try:
            model = version_converter.convert_version(model, OLDEST)
        except (RuntimeError, ValueError) as cause:
            raise ModelError(
                f"The graph has opset {before} and cannot be brought to {OLDEST}: {cause}.",
                f"Export the network anew with opset {OLDEST} or later.",
            ) from cause
    constants = _constants(model)
    for node in model.graph.node:
        if node.output and not node.name:  # the converter drops the names of what it replaces
            node.name = names.get(node.output[0], "")
        if node.op_type == "Resize":
            _spell_out(node, _before_11(node, constants) if before < 11 else _SINCE_11)
    return model


def _before_11(node: onnx.NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> dict[str, str]:
    """What ``Resize`` and ``Upsample`` meant before opset 11 let a graph say it: pixel ``i`` lies at ``i / scale``.

    The nearest pixel is the one before it when the map grows and the one after it when it shrinks: so the test data of
    ONNX 1.5 have it, and so ONNX Runtime computes it.

    Raises:
        ModelError: a nearest resize grows one side and shrinks the other, which no later operator set can say.
    """
    scales = constants.get(node.input[2]) if len(node.input) > 2 else None
    factors = np.ones(1) if scales is None else np.asarray(scales, dtype=np.float64)
    nearest = all(attribute.s == b"nearest" for attribute in node.attribute if attribute.name == "mode")
    if nearest and factors.min() < 1 < factors.max():
        raise ModelError(
            f"{node.name or node.output[0]} (Resize before opset 11) grows one side and shrinks another by {factors}.",
            f"Export the network anew with opset {OLDEST} or later.",
        )
    rounding = "ceil" if factors.min() < 1 else "floor"
    return {"coordinate_transformation_mode": "asymmetric", "nearest_mode": rounding}


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Small constants by name: where the factors of resizes are found."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {name: to_array(tensor) for name, tensor in tensors.items() if len(tensor.dims) == 1 and tensor.dims[0] <= 8}


def _spell_out(node: onnx.NodeProto, rule: dict[str, str]) -> None:
    present = {attribute.name for attribute in node.attribute}
    for name, value in rule.items():
        if name not in present:
            node.attribute.append(onnx.helper.make_attribute(name, value))
