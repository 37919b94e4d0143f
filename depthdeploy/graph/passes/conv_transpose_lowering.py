"""Transposed convolutions whose padding is told by ``pads`` alone."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import given, main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.passes.conv_transpose_geometry import Geometry, geometry
from depthdeploy.graph.replacement import opset


@dataclass(frozen=True, slots=True)
class ConvTransposeLowering:
    """``auto_pad``, ``output_shape`` and ``output_padding`` become ``pads``; rows that those cannot give, a ``Pad``.

    Rows that ``output_padding`` adds are cut less: ``pads_end - output_padding`` where that is not negative. Beyond it
    they hold nothing but the bias, which then is added after a ``Pad`` with zeros.

    Attributes:
        symmetric: pads that differ at both ends become equal ones and a ``Slice``, for parsers with one number an axis.
    """

    symmetric: bool = False
    name: str = "conv-transpose-lowering"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "ConvTranspose") if opset(model) >= 13 else ():
            found = geometry(node)
            if found is not None and not self._is_lowered(node, found):
                changed |= self._rewrite(model, node, found)
        return changed

    def _is_lowered(self, node: ir.Node, found: Geometry) -> bool:
        named = node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes
        return not named and not any(found.padding) and (not self.symmetric or found.begins == found.ends)

    def _rewrite(self, model: ir.Model, node: ir.Node, found: Geometry) -> bool:
        x, weight, shape = node.inputs[0], node.inputs[1], static_shape(node.outputs[0])
        if x is None or weight is None or shape is None or 0 in shape:
            return False
        ends = tuple(end - extra for end, extra in zip(found.ends, found.padding, strict=True))
        missing = tuple(max(-end, 0) for end in ends)
        begins, ends = found.begins, tuple(max(end, 0) for end in ends)
        cuts = tuple(map(min, begins, ends)) if self.symmetric else None
        parts, bias = Emission(model, node), given(node, 2)
        value = _convolved(parts, (x, weight, None if any(missing) else bias), (cuts or begins, cuts or ends), found)
        if cuts is not None and begins != ends:
            value = _cut(parts, value, begins, cuts, [n - m for n, m in zip(shape[2:], missing, strict=True)])
        if any(missing):
            pads = [0] * (len(shape) + 2) + list(missing)
            value = parts.emit("Pad", value, parts.whole(pads, "pads"), what="padded", mode="constant")
            if bias is not None:
                column = parts.whole([1, -1, *[1] * len(missing)], "column")
                value = parts.emit("Add", value, parts.emit("Reshape", bias, column, what="bias"), what="biased")
        parts.finish(value)
        return True


def _convolved(
    parts: Emission,
    inputs: tuple[ir.Value, ir.Value, ir.Value | None],
    pads: tuple[tuple[int, ...], tuple[int, ...]],
    found: Geometry,
) -> ir.Value:
    operands = inputs if inputs[2] is not None else inputs[:2]
    return parts.emit(
        "ConvTranspose",
        *operands,
        what="convolved",
        kernel_shape=found.kernel,
        strides=found.strides,
        dilations=found.dilations,
        pads=[*pads[0], *pads[1]],
        group=parts.node.attributes.get_int("group", 1) or 1,
    )


def _cut(parts: Emission, x: ir.Value, begins: tuple[int, ...], cuts: tuple[int, ...], sizes: list[int]) -> ir.Value:
    """The rows that unequal pads would have left."""
    starts = [begin - cut for begin, cut in zip(begins, cuts, strict=True)]
    stops = [start + size for start, size in zip(starts, sizes, strict=True)]
    axes = range(2, 2 + len(starts))
    return parts.emit(
        "Slice",
        x,
        parts.whole(starts, "starts"),
        parts.whole(stops, "ends"),
        parts.whole(list(axes), "axes"),
        what="cut",
    )
