"""Pooling in older operator sets."""

from __future__ import annotations

import numpy as np

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.opset.site import Site


def undilated_average(site: Site) -> None:
    """``AveragePool`` of opset 19: dilated windows without padding are a ``Conv`` by equal weights."""
    dilations = site.node.attributes.get_ints("dilations") or ()
    if all(step == 1 for step in dilations):
        site.drop("dilations")
        return
    pads, kernel = site.node.attributes.get_ints("pads") or (), site.node.attributes.get_ints("kernel_shape") or ()
    if any(pads) or site.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or site.whole("ceil_mode", 0):
        raise site.refuse("averages dense windows", f"dilations {list(dilations)}", "Pad in an operator of its own.")
    x = site.value()
    channels = site.shape(x)[1]
    weight = np.full((channels, 1, *kernel), 1.0 / np.prod(kernel))
    parts = site.emission()
    window = parts.constant(weight.astype(site.dtype(x).numpy()), "window")
    strides = list(site.node.attributes.get_ints("strides") or [1] * len(kernel))
    mean = parts.emit(
        "Conv", x, window, what="mean", group=channels, dilations=list(dilations), strides=strides, kernel_shape=kernel
    )
    parts.finish(mean)


def whole_windows(site: Site) -> None:
    """``ceil_mode`` of opset 22 drops a window that begins behind the image; pads say where its ancestors end.

    What lies in padding counts neither for a maximum nor for a mean over the image alone.
    """
    node = site.node
    before, after = static_shape(site.value()), static_shape(node.outputs[0])
    if not site.whole("ceil_mode", 0):
        return
    if before is None or after is None:
        raise site.refuse("needs static shapes where it rounds up", "others", "Give the graph static shapes.")
    rank = len(before) - 2
    kernel = node.attributes.get_ints("kernel_shape") or ()
    strides, dilations = (node.attributes.get_ints(name) or [1] * rank for name in ("strides", "dilations"))
    pads = list(node.attributes.get_ints("pads") or [0] * (2 * rank))
    begins, ends = pads[:rank], []
    for axis in range(rank):
        reach = (after[2 + axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        ends.append(max(reach - before[2 + axis] - begins[axis], 0))
    counted = node.op_type == "AveragePool" and site.whole("count_include_pad", 0)
    if site.text("auto_pad", "NOTSET") != "NOTSET" or (counted and ends != pads[rank:]):
        raise site.refuse("counts padding otherwise where it rounds up", "ceil_mode", "Pad in an operator of its own.")
    site.drop("ceil_mode")
    site.put("pads", [*begins, *ends])
