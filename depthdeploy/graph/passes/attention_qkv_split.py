"""Queries, keys and values that come from one projection, taken apart without tensors of five axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, given, main_nodes, only_consumer, producer, static_shape
from depthdeploy.graph.replacement import Replacement


@dataclass(frozen=True, slots=True)
class QkvSplit:
    """``Reshape [B, N, 3, heads, width]``, ``Transpose`` and the choice of a part become ``Split`` and three of each.

    The DINOv2 encoder of the published Depth Anything, and ``timm``, write ``qkv.reshape(...).permute(2, 0, 3, 1, 4)``
    and index or unbind it; many chips have no tensors of five axes. Each part is reshaped and transposed by itself.
    """

    name: str = "qkv-split"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Transpose"):
            changed |= _take_apart(model, node)
        return changed


def _take_apart(model: ir.Model, transpose: ir.Node) -> bool:
    reshape = producer(transpose.inputs[0], "Reshape")
    whole = None if reshape is None else reshape.inputs[0]
    shape, parted = static_shape(whole), static_shape(transpose.inputs[0])
    order = [*(transpose.attributes.get_ints("perm") or ())]
    if whole is None or whole.dtype is None or shape is None or parted is None or not order:
        return False
    part = len(shape) - 1
    if order[0] != part or parted[:part] != shape[:part] or len(parted) <= part + 1:
        return False
    chosen = _choices(transpose.outputs[0])
    if not chosen or transpose.outputs[0].is_graph_output():
        return False
    inner, count = parted[:part] + parted[part + 1 :], parted[part]
    turned = [axis - (axis > part) for axis in order[1:]]
    parts = Replacement(model, transpose)
    for index, piece in enumerate(_split(parts, whole, shape, count)):
        for node in chosen.get(index, ()):
            _write(Replacement(model, node), piece, inner, turned)
    return True


def _choices(value: ir.Value) -> Mapping[int, list[ir.Node]] | None:
    """Part -> the nodes that give it out; ``None`` when somebody reads it in another way."""
    found: dict[int, list[ir.Node]] = {}
    for reader, _ in value.uses():
        pieces = _gathered(reader, value) if reader.op_type == "Gather" else _unbound(reader)
        if reader.domain != "" or pieces is None:
            return None
        for index, node in pieces:
            found.setdefault(index, []).append(node)
    return found


def _gathered(node: ir.Node, value: ir.Value) -> list[tuple[int, ir.Node]] | None:
    index, shape = constant(node.inputs[1]), static_shape(value)
    if index is None or index.ndim or node.attributes.get_int("axis", 0) != 0 or shape is None:
        return None
    return [(int(index) % shape[0], node)]


def _unbound(node: ir.Node) -> list[tuple[int, ir.Node]] | None:
    """``Split`` into single parts, each read by a ``Squeeze`` of the first axis alone."""
    pieces: list[tuple[int, ir.Node]] = []
    if node.op_type != "Split" or node.attributes.get_int("axis", 0) != 0:
        return None
    for index, output in enumerate(node.outputs):
        squeeze, shape = only_consumer(output), static_shape(output)
        axes = None if squeeze is None else constant(given(squeeze, 1))
        if squeeze is None or squeeze.op_type != "Squeeze" or axes is None or shape is None:
            return None
        if shape[0] != 1 or [int(axis) % len(shape) for axis in axes.reshape(-1)] != [0]:
            return None
        pieces.append((index, squeeze))
    return pieces


def _split(parts: Replacement, whole: ir.Value, shape: Sequence[int], count: int) -> list[ir.Value]:
    """Equal pieces of the last axis."""
    size = shape[-1] // count
    sizes = parts.constant(np.full(count, size, dtype=np.int64), "sizes")
    names = [f"part_{index}" for index in range(count)]
    return parts.make_several(
        "Split", [whole, sizes], names, shape=ir.Shape([*shape[:-1], size]), attributes=[ir.AttrInt64("axis", -1)]
    )


def _write(parts: Replacement, piece: ir.Value, inner: Sequence[int], order: Sequence[int]) -> None:
    target = parts.constant(np.array(inner, dtype=np.int64), "heads")
    heads = parts.make("Reshape", [piece, target], "reshaped", shape=ir.Shape(inner))
    turned = ir.Shape([inner[axis] for axis in order])
    attributes = [ir.AttrInt64s("perm", order)]
    parts.finish(parts.make("Transpose", [heads], "turned", shape=turned, attributes=attributes))
