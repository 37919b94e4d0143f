"""Operators that move or choose elements, in the words of older operator sets."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, given, static_shape
from depthdeploy.graph.opset.site import Site


def depth_to_space(site: Site) -> None:
    """``DepthToSpace`` of opset 11: the mode CRD, where the block lies behind the channel, is reshapes and a move."""
    if site.text("mode", "DCR") == "DCR":
        site.drop("mode")
        return
    x, block = site.value(), site.whole("blocksize", 1)
    images, depth, height, width = site.shape(x)
    channels, parts = depth // block**2, site.emission()
    split = parts.whole([images, channels, block, block, height, width], "split")
    merged = parts.whole([images, channels, height * block, width * block], "merged")
    blocks = parts.emit("Reshape", x, split, what="blocks")
    moved = parts.emit("Transpose", blocks, what="moved", perm=[0, 1, 4, 2, 5, 3])
    parts.finish(parts.emit("Reshape", moved, merged, what="spread"))


def reshape_without_zeros(site: Site) -> None:
    """``Reshape`` of opset 14 may mean a size of 0 by 0: without one both forms are the same."""
    if site.whole("allowzero", 0):
        target = constant(site.value(1))
        known = static_shape(site.node.outputs[0])
        if target is None and known is not None and 0 not in known:
            site.node.replace_input_with(1, site.emission().whole(known, "shape"))
        elif target is None or 0 in target:
            raise site.refuse("copies a size where a shape says 0", "allowzero", "Take the empty tensors out.")
    site.drop("allowzero")


def shape_part(site: Site) -> None:
    """``Shape`` of opset 15 may give a part of the shape: that is known, or a slice of the whole."""
    start, end = site.whole("start", 0), site.node.attributes.get_int("end")
    if start == 0 and end is None:
        site.drop("start")
        return
    x = site.value()
    rank, parts = site.rank(x), site.emission()
    bounds = [min(max(at + rank if at < 0 else at, 0), rank) for at in (start, rank if end is None else end)]
    whole = parts.emit("Shape", x, what="shape")
    first, last = (parts.whole([bound], what) for bound, what in zip(bounds, ("start", "end"), strict=True))
    parts.finish(parts.emit("Slice", whole, first, last, what="part"))


def triangle(site: Site) -> None:
    """``Trilu`` (opset 14) chooses elements by a constant mask."""
    x, offset = site.value(), site.constant(1, "the diagonal")
    rows, columns = site.shape(x)[-2:]
    shift = 0 if offset is None else int(offset.reshape(()))
    upper = np.triu(np.ones((rows, columns), dtype=np.bool_), shift)
    mask = upper if site.whole("upper", 1) else np.tril(np.ones((rows, columns), dtype=np.bool_), shift)
    parts = site.emission()
    nothing = parts.constant(np.zeros((), dtype=site.dtype(x).numpy()), "zero")
    parts.finish(parts.emit("Where", parts.constant(mask, "mask"), x, nothing, what="kept"))


def gather_from_front(site: Site) -> None:
    """``Gather`` of opset 11 counts negative indices from behind: before, they are counted from the front."""
    x, axis = site.value(), site.whole("axis", 0)
    axis = axis + site.rank(x) if axis < 0 else axis
    site.put("axis", axis)
    indices = site.value(1)
    known = constant(indices)
    if known is not None and not np.any(known.astype(np.int64) < 0):
        return
    size, parts = site.shape(x)[axis], site.emission()
    if known is not None:
        whole = known.astype(np.int64)
        front = parts.constant(np.where(whole < 0, whole + size, whole).astype(known.dtype), "indices")
    else:
        kind = site.dtype(indices).numpy()
        negative = parts.emit("Less", indices, parts.constant(np.zeros((), kind), "zero"), what="negative")
        moved = parts.emit("Add", indices, parts.constant(np.array(size, kind), "size"), what="moved")
        front = parts.emit("Where", negative, moved, indices, what="front")
    site.node.replace_input_with(1, front)


def cumulative_sum(site: Site) -> None:
    """``CumSum`` (opset 11) along an axis is a product with a triangle of ones."""
    x, axes = site.value(), site.wholes(1, "the axis")
    if site.dtype(x) not in (ir.DataType.FLOAT, ir.DataType.DOUBLE) or not axes:
        raise site.refuse("adds up floats alone", f"{x.dtype}", "Cast it to float32.")
    shape = site.shape(x)
    axis = axes[0] % len(shape)
    ones = np.ones((shape[axis], shape[axis]), dtype=site.dtype(x).numpy())
    kept = np.triu(ones, 1 if site.whole("exclusive", 0) else 0)
    parts = site.emission()
    triangle_ = parts.constant(kept.T if site.whole("reverse", 0) else kept, "triangle")
    order = [other for other in range(len(shape)) if other != axis] + [axis]
    moved = parts.emit("Transpose", x, what="moved", perm=order)
    total = parts.emit("MatMul", moved, triangle_, what="sums")
    parts.finish(parts.emit("Transpose", total, what="back", perm=[order.index(one) for one in range(len(shape))]))


def cast_to_like(site: Site) -> None:
    """``CastLike`` (opset 15) of a known type is ``Cast``."""
    x, like = site.value(0), site.value(1)
    parts = site.emission()
    parts.finish(parts.emit("Cast", x, what="cast", to=site.dtype(like).value))


def largest_first(site: Site) -> None:
    """``TopK`` of opset 10 finds the largest, in order; the smallest are the largest of the opposites."""
    site.drop("sorted")
    axis = site.whole("axis", -1)
    site.put("axis", axis % site.rank(site.value()))
    if site.whole("largest", 1):
        site.drop("largest")
        return
    raise site.refuse("finds the largest elements alone", "largest = 0", "Negate before and after TopK.")


def reduction_none(site: Site) -> None:
    """``ScatterElements`` and ``ScatterND`` of opset 18 know two more reductions."""
    found = site.text("reduction", "none")
    if found in ("max", "min"):
        raise site.refuse(f"has no reduction {found}", f"reduction {found}", "Write the reduction as an operator.")


def transform_axis(site: Site) -> None:
    """``DFT`` of opset 20: the input ``axis`` becomes an attribute."""
    axis = site.wholes(2, "the axis")
    rank = site.rank(site.value())
    site.put("axis", (axis[0] if axis else -2) % rank)
    site.keep_inputs(2 if given(site.node, 1) is not None else 1)


def shifted_roi(site: Site) -> None:
    """``RoiAlign`` of opset 16 moves regions by half a pixel unless it is told not to; its ancestor never does."""
    if site.text("coordinate_transformation_mode", "half_pixel") != "output_half_pixel":
        raise site.refuse("aligns regions as output_half_pixel", "half_pixel", "Add half a pixel to the regions.")
    site.drop("coordinate_transformation_mode")


def flat_grid(site: Site) -> None:
    """``GridSample`` of opset 20 knows volumes, and other names for its modes."""
    if site.rank(site.value()) != 4:
        raise site.refuse("samples images alone", f"{site.rank(site.value())} axes", "Sample slice by slice.")
    mode = site.text("mode", "linear")
    site.put("mode", {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode))


def whole_modulo(site: Site) -> None:
    """``Mod`` of opset 28 with ``fmod = 0`` takes floats too."""
    if not site.whole("fmod", 0) and site.dtype(site.value()).is_floating_point():
        raise site.refuse("takes whole numbers modulo alone", f"{site.value().dtype}", "Write it with Div and Floor.")
