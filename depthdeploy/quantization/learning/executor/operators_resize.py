"""``Resize`` and ``Upsample`` in all modes and coordinates."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.interpolation import Axis, Kernel, matrix, nearest
from depthdeploy.quantization.learning.executor.registry import (
    Attributes,
    Call,
    Compute,
    Operator,
    Registry,
    Result,
    host,
)


def resize(
    attributes: Attributes,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    """Another size of every axis that changes, one axis after the other.

    What a kernel of PyTorch computes the same way is left to it; otherwise linear and cubic interpolation are products
    with a matrix for each axis, and nearest neighbours are selected.
    """
    axes = _axes(attributes, x, roi, scales, sizes)
    mode = attributes.text("mode", "nearest")
    if not axes:
        return x
    if mode == "nearest":
        result = _selected(x, axes, attributes.text("nearest_mode", _rounding(attributes)))
    else:
        result = _interpolated(attributes, x, axes, _kernel(attributes, mode))
    for index, axis in axes.items():
        outside = axis.outside()
        if outside.any():
            mask = torch.from_numpy(outside).to(x.device).reshape(-1, *[1] * (x.ndim - 1 - index))
            result = torch.where(mask, attributes.number("extrapolation_value", 0.0), result)
    return result


def _rounding(attributes: Attributes) -> str:
    return "round_prefer_floor" if attributes.opset > 10 else "floor"


def _kernel(attributes: Attributes, mode: str) -> Kernel:
    return Kernel(
        mode == "cubic",
        attributes.number("cubic_coeff_a", -0.75),
        bool(attributes.integer("antialias", 0)),
        bool(attributes.integer("exclude_outside", 0)),
    )


def _axes(
    attributes: Attributes, x: Tensor, roi: Tensor | None, scales: Tensor | None, sizes: Tensor | None
) -> dict[int, Axis]:
    """The axes that change."""
    along = [axis % x.ndim for axis in attributes.integers("axes", range(x.ndim))]
    before = [x.shape[axis] for axis in along]
    if sizes is not None and sizes.numel():
        after, factors = _sized(attributes, before, [int(size) for size in sizes.tolist()])
    else:
        given = attributes.numbers("scales") if scales is None else scales.tolist()
        factors = [float(np.float32(factor)) for factor in given]
        after = [math.floor(size * factor) for size, factor in zip(before, factors, strict=True)]
    coordinates = attributes.text("coordinate_transformation_mode", "half_pixel" if attributes.opset > 10 else "")
    parts = _parts(roi if coordinates == "tf_crop_and_resize" else None, len(along))
    lines = zip(along, before, after, factors, parts, strict=True)
    return {
        axis: Axis(size, resized, factor, coordinates or "asymmetric", part)
        for axis, size, resized, factor, part in lines
        if size != resized or factor != 1 or part != (0, 1)
    }


def _sized(attributes: Attributes, before: list[int], wanted: list[int]) -> tuple[list[int], list[float]]:
    factors = [new / size for new, size in zip(wanted, before, strict=True)]
    policy = attributes.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return wanted, factors
    one = min(factors) if policy == "not_larger" else max(factors)
    return [math.floor(one * size + 0.5) for size in before], [one] * len(before)


def _parts(roi: Tensor | None, count: int) -> list[tuple[float, float]]:
    values = [] if roi is None else [float(value) for value in roi.tolist()]
    return [(values[i], values[i + count]) for i in range(count)] if values else [(0.0, 1.0)] * count


def _selected(x: Tensor, axes: dict[int, Axis], rounding: str) -> Tensor:
    places = {index: nearest(axis, rounding) for index, axis in axes.items()}
    if x.ndim == 4 and set(axes) == {2, 3} and all(_repeats(axes[index], places[index]) for index in axes):
        return functional.interpolate(x, size=[axes[2].resized, axes[3].resized], mode="nearest")
    for index, chosen in places.items():
        x = x.index_select(index, torch.from_numpy(chosen).to(x.device))
    return x


def _repeats(axis: Axis, places: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> bool:
    """Whether every element is repeated 2, 4, 8... times: then PyTorch's float32 coordinates are exact."""
    factor, rest = divmod(axis.resized, axis.size)
    exact = rest == 0 and factor & (factor - 1) == 0
    return exact and bool(np.array_equal(places, np.arange(axis.resized) // factor))


#: PyTorch's interpolation by ONNX's mode and rank.
_KERNELS = {("linear", 3): "linear", ("linear", 4): "bilinear", ("linear", 5): "trilinear", ("cubic", 4): "bicubic"}


def _interpolated(attributes: Attributes, x: Tensor, axes: dict[int, Axis], kernel: Kernel) -> Tensor:
    mode = _KERNELS.get((attributes.text("mode", "linear"), x.ndim))
    if mode is not None and x.device.type == "cpu" and _as_torch(x, axes, kernel):
        size = [axes[index].resized if index in axes else x.shape[index] for index in range(2, x.ndim)]
        corners = next(iter(axes.values())).coordinates == "align_corners"
        return functional.interpolate(x, size=size, mode=mode, align_corners=corners)
    for index, axis in axes.items():
        weights = torch.from_numpy(matrix(axis, kernel)).to(device=x.device, dtype=x.dtype)
        if index == x.ndim - 1:
            x = x @ weights.T
        elif index == x.ndim - 2:
            x = weights @ x
        else:
            x = (x.movedim(index, -1) @ weights.T).movedim(-1, index)
    return x


def _as_torch(x: Tensor, axes: dict[int, Axis], kernel: Kernel) -> bool:
    """Whether PyTorch's coordinates, taken from the sizes alone, are those of the node."""
    if kernel.antialias or kernel.exclude_outside or (kernel.cubic and kernel.coefficient != -0.75):
        return False
    if not x.is_floating_point() or min(axes) < 2:
        return False
    modes = {axis.coordinates for axis in axes.values()}
    if modes == {"align_corners"}:
        return True
    exact = all(math.isclose(axis.scale * axis.size, axis.resized, rel_tol=1e-9) for axis in axes.values())
    if modes == {"pytorch_half_pixel"}:
        return exact and all(axis.resized > 1 for axis in axes.values())
    return exact and modes <= {"half_pixel", "half_pixel_symmetric"}


def _resized(compute: Compute, call: Call) -> Result | None:
    """Photographs at once, unless axis 0 itself is resized."""
    data, sizes = call.inputs[0], call.inputs[3] if len(call.inputs) > 3 else None
    if data is None or not call.only_first():
        return None
    inputs = [*call.inputs, None, None, None][:4]
    one = data[: call.shape(0)[0]]
    if 0 in _axes(call.attributes, one, inputs[1], inputs[2], inputs[3]):
        return None
    if sizes is not None and sizes.numel():  # only the axes that change are named, so that axis 0 may have any size
        inputs[3] = _with_batch(call, sizes)
    return compute(call.attributes, *inputs)


def _with_batch(call: Call, sizes: Tensor) -> Tensor:
    rank = len(call.shape(0))
    along = [axis % rank for axis in call.attributes.integers("axes", range(rank))]
    return torch.tensor(
        [int(size) * (call.batch if axis == 0 else 1) for axis, size in zip(along, sizes.tolist(), strict=True)]
    )


def upsample(attributes: Attributes, x: Tensor, scales: Tensor | None = None) -> Tensor:
    """``Upsample``, and ``Resize`` of opset 10: asymmetric coordinates, rounded down."""
    return resize(attributes, x, None, scales)


def _resize_of_any_opset(attributes: Attributes, *inputs: Tensor | None) -> Tensor:
    data, *others = inputs
    if data is None or attributes.opset > 10:
        return resize(attributes, data, *others)  # type: ignore[arg-type]
    return upsample(attributes, data, *others)


def _resized_in_any_opset(compute: Compute, call: Call) -> Result | None:
    if call.attributes.opset > 10:
        return _resized(compute, call)
    data, *scales = call.inputs
    if data is None or not call.only_first() or (scales[0] is not None and float(scales[0].reshape(-1)[0]) != 1):
        return None
    return compute(call.attributes, data, *scales)


OPERATORS: Registry = {
    "Resize": Operator(_resize_of_any_opset, _resized_in_any_opset, host(1, 2, 3)),
    "Upsample": Operator(_resize_of_any_opset, _resized_in_any_opset, host(1)),
}
