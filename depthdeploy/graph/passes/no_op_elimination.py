"""Nodes that give back what they were given are taken out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import bypass, constant, given, main_nodes, scalar, static_shape


@dataclass(frozen=True, slots=True)
class NoOpElimination:
    """Identity, inference-time dropout, and casts, reshapes, transposes, slices, pads, resizes that change nothing."""

    name: str = "no-op-elimination"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, *_TESTS):
            changed |= _TESTS[node.op_type](node) and bypass(node)
        for node in main_nodes(model, *_NEUTRAL):
            position = _neutral_operand(node)
            changed |= position is not None and bypass(node, node.inputs[1 - position])
        return changed


def _same_shape(node: ir.Node) -> bool:
    shape = static_shape(node.inputs[0])
    return shape is not None and shape == static_shape(node.outputs[0])


def _always(node: ir.Node) -> bool:
    return True


def _single(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _dropout(node: ir.Node) -> bool:
    training = given(node, 2)
    return training is None or scalar(training) == 0.0


def _cast(node: ir.Node) -> bool:
    dtype = None if node.inputs[0] is None else node.inputs[0].dtype
    return dtype is not None and dtype == node.attributes["to"].as_int()


def _cast_like(node: ir.Node) -> bool:
    value, like = node.inputs
    return value is not None and like is not None and value.dtype is not None and value.dtype == like.dtype


def _transpose(node: ir.Node) -> bool:
    order = node.attributes.get_ints("perm")
    return order is not None and list(order) == list(range(len(order)))


def _pad(node: ir.Node) -> bool:
    pads = constant(given(node, 1))
    return pads is not None and not pads.any()


def _slice(node: ir.Node) -> bool:
    steps = given(node, 4)
    forward = steps is None or bool(np.all(constant(steps) == 1))
    return forward and _same_shape(node)


def _resize(node: ir.Node) -> bool:
    """At the same size every coordinate rule but cropping maps a pixel to itself, and every kernel is one there."""
    scales = constant(given(node, 2))
    exact = scales is None or scales.size == 0 or bool(np.all(scales == 1.0))
    crops = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    return exact and not crops and _same_shape(node)


def _neutral_operand(node: ir.Node) -> int | None:
    """The operand that is the operator's neutral element everywhere, where it does not broadcast the other."""
    element, positions = _NEUTRAL[node.op_type]
    for position in positions:
        array = constant(node.inputs[position])
        kept = static_shape(node.inputs[1 - position])
        if (
            array is not None
            and np.all(array == element)
            and kept is not None
            and kept == static_shape(node.outputs[0])
        ):
            return position
    return None


#: operator -> its neutral element, and on which sides it is neutral.
_NEUTRAL: Final[Mapping[str, tuple[float, tuple[int, ...]]]] = {
    "Add": (0.0, (0, 1)),
    "Div": (1.0, (1,)),
    "Mul": (1.0, (0, 1)),
    "Sub": (0.0, (1,)),
}

_TESTS: Final[Mapping[str, Callable[[ir.Node], bool]]] = {
    "Cast": _cast,
    "CastLike": _cast_like,
    "Concat": _single,
    "Dropout": _dropout,
    "Expand": _same_shape,
    "Flatten": _same_shape,
    "Identity": _always,
    "Max": _single,
    "Mean": _single,
    "Min": _single,
    "Pad": _pad,
    "Reshape": _same_shape,
    "Resize": _resize,
    "Slice": _slice,
    "Squeeze": _same_shape,
    "Sum": _single,
    "Tile": _same_shape,
    "Transpose": _transpose,
}
