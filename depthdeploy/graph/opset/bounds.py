"""``Clip`` and ``Pad``: bounds and amounts were attributes before opset 11."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, given
from depthdeploy.graph.opset.site import Site


def clip_attributes(site: Site) -> None:
    """``Clip`` by constants takes them as attributes; by tensors it is ``Min(Max(x, low), high)``."""
    bounds = [given(site.node, 1), given(site.node, 2)]
    if all(bound is None or constant(bound) is not None for bound in bounds):
        for name, index in (("min", 1), ("max", 2)):
            array = site.constant(index, name)
            if array is not None and math.isfinite(float(array.reshape(()))):
                site.put(name, float(array.reshape(())))
        site.keep_inputs(1)
        return
    parts, value = site.emission(), site.value()
    for operator, bound in zip(("Max", "Min"), bounds, strict=True):
        if bound is not None:
            value = parts.emit(operator, value, bound, what=operator.lower())
    parts.finish(value)


def pad_attributes(site: Site) -> None:
    """``Pad``: amounts and the constant become attributes."""
    pads, fill = site.wholes(1, "pads"), site.constant(2, "the value")
    site.put("pads", pads or [])
    if fill is not None and fill.size:
        site.put("value", float(fill.reshape(())))
    site.keep_inputs(1)


def pad_all_axes(site: Site) -> None:
    """``Pad`` of opset 18 may name its axes; before, amounts are given for all of them."""
    axes = site.wholes(3, "axes")
    if axes is not None:
        pads, rank = site.wholes(1, "pads") or [], site.rank(site.value())
        full = [0] * (2 * rank)
        for index, axis in enumerate(axes):
            full[axis % rank] = pads[index]
            full[axis % rank + rank] = pads[index + len(axes)]
        site.node.replace_input_with(1, site.emission().whole(full, "pads"))
    site.keep_inputs(3)


def unwrapped_pad(site: Site) -> None:
    """``Pad`` of opset 19 may repeat the image: before, that is a concatenation of its parts."""
    if site.text("mode", "constant") != "wrap":
        return
    x, amounts = site.value(), site.wholes(1, "pads") or []
    axes = site.wholes(3, "axes") or list(range(site.rank(x)))
    shape, parts, value = site.shape(x), site.emission(), x
    for index, axis in enumerate(axes):
        size, before, after = shape[axis % len(shape)], amounts[index], amounts[index + len(axes)]
        if min(before, after) < 0:
            raise site.refuse("repeats images outwards", f"pads {amounts}", "Cut in a Slice of its own.")
        if before or after:
            order = parts.constant(np.arange(-before, size + after, dtype=np.int64) % size, f"order_{axis}")
            value = parts.emit("Gather", value, order, what=f"wrapped_{axis}", axis=axis % len(shape))
    parts.finish(value)


def boolean_reduction(site: Site) -> None:
    """``ReduceMax`` and ``ReduceMin`` of opset 20 know truth values: before, those are 0 and 1."""
    if site.value().dtype != ir.DataType.BOOL:
        return
    parts = site.emission()
    number = parts.cast(site.value(), ir.DataType.UINT8, "number")
    kept = {name: site.whole(name, 1 if name == "keepdims" else 0) for name in ("keepdims", "noop_with_empty_axes")}
    found = parts.emit(site.node.op_type, number, *site.node.inputs[1:], what="extreme", **kept)
    parts.finish(parts.cast(found, ir.DataType.BOOL, "truth"))
