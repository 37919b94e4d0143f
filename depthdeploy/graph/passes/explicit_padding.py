"""Padding by name (``auto_pad``) becomes padding by number: not every compiler reads the names alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, static_shape


@dataclass(frozen=True, slots=True)
class ExplicitPadding:
    """``auto_pad`` of ``Conv`` and ``MaxPool`` is replaced by the ``pads`` that it stands for."""

    name: str = "explicit-padding"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Conv", "MaxPool"):
            rule = node.attributes.get_string("auto_pad", "NOTSET")
            pads = None if rule == "NOTSET" else _pads(node, rule or "NOTSET")
            if pads is not None:
                node.attributes.pop("auto_pad")
                node.attributes.add(ir.AttrInt64s("pads", pads))
                changed = True
        return changed


def _pads(node: ir.Node, rule: str) -> list[int] | None:
    """``[begin..., end...]`` as the operator's specification computes them: ``out = ceil(in / stride)`` for SAME."""
    shape = static_shape(node.inputs[0])
    kernel = _kernel(node)
    if shape is None or kernel is None:
        return None
    rank = len(kernel)
    if rule == "VALID":
        return [0] * (2 * rank)
    strides = node.attributes.get_ints("strides", [1] * rank) or [1] * rank
    dilations = node.attributes.get_ints("dilations", [1] * rank) or [1] * rank
    begins, ends = [], []
    for size, window, stride, dilation in zip(shape[2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size, 0)
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if rule == "SAME_UPPER" else larger)
        ends.append(larger if rule == "SAME_UPPER" else smaller)
    return [*begins, *ends]


def _kernel(node: ir.Node) -> Sequence[int] | None:
    named = node.attributes.get_ints("kernel_shape")
    if named is not None or node.op_type != "Conv":
        return named
    weight = static_shape(node.inputs[1])
    return None if weight is None else weight[2:]
