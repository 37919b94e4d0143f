"""``Resize`` said in the words of older operator sets. Source: the operator's definitions of opset 10 to 19."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from depthdeploy.graph.edit import given
from depthdeploy.graph.opset.site import Site
from depthdeploy.graph.resize import Resizing
from depthdeploy.graph.resize_node import read, write
from depthdeploy.interpolation import Axis, is_certain, nearest

_AS_MATRICES: Final = "Write the resize as convolutions or matrices, or hand the graph over at opset 11 or later."


def known_coordinates(site: Site) -> None:
    """``half_pixel_symmetric`` (opset 19) is ``half_pixel`` where the scales lead to whole sizes."""
    if site.text("coordinate_transformation_mode", "half_pixel") != "half_pixel_symmetric":
        return
    if given(site.node, 3) is None or site.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        shape, scales = site.shape(site.value()), site.constant(2, "scales")
        axes = site.node.attributes.get_ints("axes") or range(len(shape))
        sizes = [shape[axis] * float(scale) for axis, scale in zip(axes, [] if scales is None else scales, strict=True)]
        if scales is None or any(size != math.floor(size) for size in sizes):
            raise site.refuse("has no half_pixel_symmetric", f"results of {sizes} elements", "Give whole sizes.")
    site.put("coordinate_transformation_mode", "half_pixel")


_SINCE_18: Final = ("antialias", "axes", "keep_aspect_ratio_policy")


def all_axes(site: Site) -> None:
    """``Resize`` of opset 18: no antialiasing, all axes named, sizes as they are."""
    plain = not site.whole("antialias", 0) and site.text("keep_aspect_ratio_policy", "stretch") == "stretch"
    if plain and "axes" not in site.node.attributes:
        site.drop(*_SINCE_18)
        return
    resizing = _read(site)
    if resizing.kernel.antialias and any(axis.scale < 1 for axis in resizing.axes):
        raise site.refuse("does not antialias", "a map that becomes smaller", "Export without antialiasing.")
    write(site.model, site.node, replace(resizing, kernel=replace(resizing.kernel, antialias=False)))
    if set(_SINCE_18) & set(site.node.attributes):
        raise site.refuse("keeps no aspect ratio", f"sizes {list(resizing.after)}", "Give the sizes.")


def all_inputs(site: Site) -> None:
    """``Resize`` of opset 11 and 12 leaves no input out: an empty one says the same."""
    parts = site.emission()
    site.node.resize_inputs(max(len(site.node.inputs), 3))
    for index, what in ((1, "roi"), (2, "scales")):
        if site.node.inputs[index] is None:
            site.node.replace_input_with(index, parts.constant(np.zeros(0, dtype=np.float32), what))


def asymmetric_scales(site: Site) -> None:
    """``Resize`` of opset 10: pixel ``i`` lies at ``i / scale``.

    The nearest pixel is the one before it when the map grows and the one after it when it shrinks, as the test data of
    ONNX 1.5 have it; any other rule that copies the same pixels is the same function.
    """
    resizing = _read(site)
    mode = site.text("mode", "nearest")
    if mode == "cubic":
        raise site.refuse("has no cubic resize", "mode cubic", _AS_MATRICES)
    axes = [Axis(axis.size, axis.resized, axis.scale, "asymmetric") for axis in resizing.axes]
    scales = np.array([axis.scale for axis in axes], dtype=np.float32)
    if any(int(np.float32(axis.size) * s) != axis.resized for axis, s in zip(axes, scales, strict=True)):
        raise site.refuse("gives scales, not sizes", f"sizes {[axis.resized for axis in axes]}", _AS_MATRICES)
    same = _same_pixels(site, resizing, axes) if mode == "nearest" else _same_places(resizing, axes)
    if not same:
        rule = site.text("coordinate_transformation_mode", "half_pixel")
        raise site.refuse("resizes asymmetrically", f"{mode} {rule}", _AS_MATRICES)
    parts = site.emission()
    parts.finish(parts.emit("Resize", site.value(), parts.constant(scales, "scales"), what="resized", mode=mode))


def _same_places(resizing: Resizing, axes: list[Axis]) -> bool:
    pairs = [(a, b) for a, b in zip(resizing.axes, axes, strict=True) if a.size != a.resized or a.scale != 1.0]
    return all(_inside(a) and np.array_equal(a.places(), b.places()) for a, b in pairs)


def _inside(axis: Axis) -> bool:
    return axis.coordinates != "tf_crop_and_resize"


def _same_pixels(site: Site, resizing: Resizing, axes: list[Axis]) -> bool:
    """Whether the older rule copies the same elements, both by exact numbers and by those of 32 bits."""
    rounding = "ceil" if min(axis.scale for axis in axes) < 1 else "floor"
    if rounding == "ceil" and max(axis.scale for axis in axes) > 1:
        return False
    wanted = site.text("nearest_mode", "round_prefer_floor")
    return all(
        _inside(a) and np.array_equal(nearest(a, wanted), nearest(b, rounding)) and is_certain(b, rounding)
        for a, b in zip(resizing.axes, axes, strict=True)
        if a.size != a.resized
    )


def _read(site: Site) -> Resizing:
    """What the node does; it is written as opset 13 or later, or like it."""
    found = read(site.node)
    if found is None:
        raise site.refuse(
            "needs constant scales or sizes of a static shape", "others", "Canonicalize the graph at a static size."
        )
    return found
