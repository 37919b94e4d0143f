"""``Resize`` by whole factors as a depthwise ``ConvTranspose``, borders included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.replacement import Replacement
from depthdeploy.graph.resize import SAME, Interpolation, Resizing
from depthdeploy.graph.resize_node import resizes

#: Axes of a picture that come before its sides: batch and channels.
_OUTER: Final = 2


@dataclass(frozen=True, slots=True)
class ResizeAsConvTranspose:
    """A ``Resize`` that grows by whole factors becomes the padding of its edges and a depthwise ``ConvTranspose``.

    Between pixels that lie ``k`` apart the weights of linear interpolation are the same everywhere, a triangle of
    ``2k`` taps at half pixels for even ``k`` and of ``2k-1`` taps otherwise (Long et al. 2015, section 4.3). At the
    borders the rules of coordinates repeat the last pixel: so the edge is padded first, and what lies beyond the image
    is cropped by the layer's own pads. ``align_corners`` has a whole factor where it goes from n to (n-1)k+1, and needs
    no padding. Each rewrite is proven before it is made: the matrix of padding, layer and cropping is that of the
    resize. Tensors of float32 only.

    Attributes:
        interpolations: those that are rewritten.
        rules: the rules of coordinates that are rewritten; all of them when empty.
    """

    interpolations: tuple[Interpolation, ...] = ("linear", "nearest")
    rules: tuple[str, ...] = ()
    name: str = "resize-as-conv-transpose"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node, resizing in resizes(model):
            source, stencils = node.inputs[0], self._stencils(resizing)
            if source is not None and source.dtype == ir.DataType.FLOAT and stencils:
                _rewrite(Replacement(model, node), source, resizing, stencils)
                changed = True
        return changed

    def _stencils(self, resizing: Resizing) -> list[_Stencil]:
        """One for each side of the picture; none where the resize is not to be rewritten, or not exactly."""
        wanted = resizing.interpolation in self.interpolations
        wanted &= not self.rules or resizing.coordinates in self.rules
        changing = resizing.changing
        if not wanted or not changing or min(changing) < _OUTER or not resizing.is_definite:
            return []
        found = [_stencil(resizing, index) for index in range(_OUTER, len(resizing.axes))]
        proven = [one for one in found if one is not None]
        return proven if len(proven) == len(found) else []


@dataclass(frozen=True, slots=True)
class _Stencil:
    """One side: repeat the edge ``before`` and ``after``, spread every pixel by ``taps`` at ``stride``, and crop."""

    before: int
    after: int
    stride: int
    taps: tuple[float, ...]
    crop_begin: int
    crop_end: int

    def matrix(self, size: int) -> NDArray[np.float64]:
        """What every element of the result is made of: ``[resized, size]`` float64."""
        padded = np.pad(np.eye(size), ((self.before, self.after), (0, 0)), mode="edge")
        spread = np.zeros(((len(padded) - 1) * self.stride + len(self.taps), size))
        for position, row in enumerate(padded):
            begin = position * self.stride
            spread[begin : begin + len(self.taps)] += np.outer(self.taps, row)
        return spread[self.crop_begin : len(spread) - self.crop_end]


def _stencil(resizing: Resizing, index: int) -> _Stencil | None:
    axis = resizing.axes[index]
    if index not in resizing.changing:
        return _Stencil(0, 0, 1, (1.0,), 0, 0)
    corners = resizing.coordinates in ("align_corners", "tf_crop_and_resize") and axis.size > 1
    stride, rest = divmod(axis.resized - corners, axis.size - corners)
    if rest or stride < 1:
        return None
    if resizing.interpolation == "nearest" or axis.size == 1:
        found = _Stencil(0, 0, stride, (1.0,) * stride, 0, 0)
    else:
        found = _interpolating(resizing, index, stride)
    same = min(found.crop_begin, found.crop_end) >= 0 and axis.resized == len(found.matrix(axis.size))
    return found if same and np.allclose(found.matrix(axis.size), resizing.matrix(index), rtol=0, atol=SAME) else None


def _interpolating(resizing: Resizing, index: int, stride: int) -> _Stencil:
    """Taps ``t`` weigh ``w((t + offset) / stride)``: how far result ``j stride + t`` lies from pixel ``j``."""
    axis, kernel = resizing.axes[index], resizing.kernel
    radius, places = 2 if kernel.cubic else 1, axis.places()
    offset = round(2 * stride * float(places[0])) / 2
    first = math.floor(-radius * stride - offset) + 1
    taps = np.arange(first, math.ceil(radius * stride - offset))
    before = max(0, -math.floor(places[0] - radius) - 1)
    after = max(0, math.ceil(places[-1] + radius) - axis.size)
    begin = stride * before - first
    spread = (axis.size + before + after - 1) * stride + len(taps)
    weights = kernel.weights((taps + offset) / stride)
    return _Stencil(before, after, stride, tuple(weights.tolist()), begin, spread - axis.resized - begin)


def _rewrite(parts: Replacement, value: ir.Value, resizing: Resizing, stencils: list[_Stencil]) -> None:
    befores, afters = [one.before for one in stencils], [one.after for one in stencils]
    if any(befores + afters):
        none = [0] * _OUTER
        pads = parts.constant(np.array([*none, *befores, *none, *afters], dtype=np.int64), "edges")
        sizes = [sum(line) for line in zip(resizing.before[_OUTER:], befores, afters, strict=True)]
        shape, edge = ir.Shape([*resizing.before[:_OUTER], *sizes]), ir.AttrString("mode", "edge")
        value = parts.make("Pad", [value, pads], "with_edges", shape=shape, attributes=[edge])
    channels = resizing.before[1]
    taps: NDArray[np.float64] = reduce(np.multiply.outer, [np.array(one.taps) for one in stencils])
    weight = np.broadcast_to(taps.astype(np.float32), (channels, 1, *taps.shape))
    attributes = [
        ir.AttrInt64s("kernel_shape", taps.shape),
        ir.AttrInt64s("strides", [one.stride for one in stencils]),
        ir.AttrInt64s("pads", [one.crop_begin for one in stencils] + [one.crop_end for one in stencils]),
        ir.AttrInt64("group", channels),
    ]
    inputs, shape = [value, parts.constant(weight, "weight")], ir.Shape(resizing.after)
    parts.finish(parts.make("ConvTranspose", inputs, "transposed", shape=shape, attributes=attributes))
