"""Axes: numbers where they were tensors (opset 13 and 18), counted from the front where they were negative (11)."""

from __future__ import annotations

import numpy as np

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.opset.site import Rewrite, Site


def axis_from_front(default: int) -> Rewrite:
    """The attribute ``axis`` of opset 11 and later, which may be negative, for the sets before."""

    def rewrite(site: Site) -> None:
        axis = site.whole("axis", default)
        if axis < 0:
            site.put("axis", axis + site.rank(site.value()))

    return rewrite


def axes_from_front(site: Site) -> None:
    """The attribute ``axes`` of opset 11 and 12: negative ones are counted from the front."""
    axes = site.node.attributes.get_ints("axes")
    if axes is not None and min(axes, default=0) < 0:
        rank = site.rank(site.value())
        site.put("axes", [axis % rank for axis in axes])


def unsqueezed_axes_from_front(site: Site) -> None:
    """The axes of ``Unsqueeze`` count those of the result."""
    axes = site.node.attributes.get_ints("axes") or ()
    if min(axes, default=0) < 0:
        rank = site.rank(site.value()) + len(axes)
        site.put("axes", [axis % rank for axis in axes])


def slice_from_front(site: Site) -> None:
    """The input ``axes`` of ``Slice``."""
    axes = site.wholes(3, "axes")
    if axes is not None and min(axes, default=0) < 0:
        rank = site.rank(site.value())
        parts = site.emission()
        site.node.replace_input_with(3, parts.whole([axis % rank for axis in axes], "axes"))


def squeeze_axes(site: Site) -> None:
    """``Squeeze`` and ``Unsqueeze``: the input ``axes`` becomes an attribute."""
    axes = site.wholes(1, "axes")
    if axes is not None:
        site.put("axes", axes)
    site.keep_inputs(1)


def reduced_axes(site: Site) -> None:
    """Reductions: the input ``axes`` becomes an attribute; no axes mean all of them, or none where the node says so."""
    axes = site.wholes(1, "axes")
    if not axes and site.whole("noop_with_empty_axes", 0):
        _nothing_reduced(site)
        return
    site.drop("noop_with_empty_axes", "axes")
    if axes:
        site.put("axes", axes)
    site.keep_inputs(1)


#: Reductions whose value over no axis is the element itself; of the others the definition has changed its mind.
_ELEMENT = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"})


def _nothing_reduced(site: Site) -> None:
    if site.node.op_type not in _ELEMENT:
        raise site.refuse("reduces over all axes where none is named", "noop_with_empty_axes", "Name the axes.")
    parts = site.emission()
    parts.finish(parts.emit("Identity", site.value(), what="same"))


def split_sizes(site: Site) -> None:
    """``Split`` of opset 13: the input ``split`` becomes an attribute."""
    sizes = site.wholes(1, "the sizes of the parts")
    if sizes is not None:
        site.put("split", sizes)
    site.keep_inputs(1)


def split_count(site: Site) -> None:
    """``Split`` of opset 18: ``num_outputs`` parts, of which the last may be smaller, become sizes."""
    count = site.node.attributes.get_int("num_outputs")
    if count is None:
        return
    site.drop("num_outputs")
    shape = static_shape(site.value())
    if shape is None:
        raise site.refuse("splits into equal parts alone", "an unknown size", "Give the graph static shapes.")
    size = shape[site.whole("axis", 0)]
    part = -(-size // count)
    if part * count != size:
        sizes = [min(part, max(size - part * index, 0)) for index in range(count)]
        site.node.resize_inputs(2)
        site.node.replace_input_with(1, site.emission().whole(sizes, "sizes"))


def last_index(site: Site) -> None:
    """``ArgMax`` that takes the last of equals (opset 12) looks from behind: ``n - 1 - ArgMax(reversed)``."""
    if not site.whole("select_last_index", 0):
        site.drop("select_last_index")
        return
    x = site.value()
    axis = site.whole("axis", 0) % site.rank(x)
    size = site.shape(x)[axis]
    parts = site.emission()
    bounds = [parts.whole([number], what) for number, what in ((-1, "last"), (-size - 1, "first"), (axis, "axis"))]
    backward = parts.emit("Slice", x, *bounds, parts.whole([-1], "backward"), what="reversed")
    found = parts.emit(site.node.op_type, backward, what="from_behind", axis=axis, keepdims=site.whole("keepdims", 1))
    end = parts.constant(np.array(size - 1, dtype=np.int64), "end")
    parts.finish(parts.emit("Sub", end, found, what="from_front"))
