"""Foreign graphs brought to the operator set that the passes and targets are written for."""

from __future__ import annotations

import onnx
from onnx import version_converter

from depthdeploy.errors import ModelError

#: The oldest operator set that the rest of the pipeline reads.
OLDEST = 18

#: What ``Resize`` and ``Upsample`` meant before opset 11 let a graph say it: pixel ``i`` lies at ``i / scale``, and the
#: nearest pixel is the one before it (the specification of opset 10; ONNX Runtime computes the same).
_BEFORE_11 = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

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
    for node in model.graph.node:
        if node.output and not node.name:  # the converter drops the names of what it replaces
            node.name = names.get(node.output[0], "")
        if node.op_type == "Resize":
            _spell_out(node, _BEFORE_11 if before < 11 else _SINCE_11)
    return model


def _spell_out(node: onnx.NodeProto, rule: dict[str, str]) -> None:
    present = {attribute.name for attribute in node.attribute}
    for name, value in rule.items():
        if name not in present:
            node.attribute.append(onnx.helper.make_attribute(name, value))
