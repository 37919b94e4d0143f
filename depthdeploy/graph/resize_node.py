"""``Resize`` nodes read into values and written from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.attributes import opset_of
from depthdeploy.graph.edit import add_initializer, constant, given, main_nodes, static_shape
from depthdeploy.graph.resize import Interpolation, Resizing
from depthdeploy.interpolation import Axis, Kernel

Form = Literal["sizes", "scales"]

#: The operator set from which ``Resize`` may leave out the inputs that it does not use.
OLDEST: Final = 13

_INPUTS: Final = ("roi", "scales", "sizes")


def resizes(model: ir.Model) -> Iterator[tuple[ir.Node, Resizing]]:
    """The resizes of the main graph whose function is known from the graph alone."""
    if opset_of(model) >= OLDEST:
        for node in main_nodes(model, "Resize"):
            resizing = read(node)
            if resizing is not None:
                yield node, resizing


def read(node: ir.Node) -> Resizing | None:
    """What a ``Resize`` of opset 13 or later does; ``None`` where the graph leaves it open or contradicts itself."""
    shape, mode = static_shape(node.inputs[0]), _interpolation(node)
    roi, scales, sizes = (_numbers(given(node, 1 + index)) for index in range(3))
    if not shape or mode is None or roi is None or scales is None or sizes is None:
        return None
    rule = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") or ""
    along = [axis % len(shape) for axis in node.attributes.get_ints("axes", range(len(shape))) or ()]
    before = [shape[axis] for axis in along]
    scaled = _from_scales(before, scales) if scales else _from_sizes(node, before, sizes)
    parts = _parts(roi if rule == "tf_crop_and_resize" else [], len(along))
    if len(scaled) != len(along) or len(parts) != len(along):
        return None
    axes = [Axis(size, size, 1.0, rule) for size in shape]
    for index, (resized, scale), part in zip(along, scaled, parts, strict=True):
        axes[index] = Axis(shape[index], resized, scale, rule, part)
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor") or ""
    extrapolation = node.attributes.get_float("extrapolation_value", 0.0) or 0.0
    found = Resizing(tuple(axes), mode, _kernel(node), rounding, extrapolation)
    known = static_shape(node.outputs[0])
    return found if min(*found.before, *found.after) > 0 and known in (None, found.after) else None


def _interpolation(node: ir.Node) -> Interpolation | None:
    match node.attributes.get_string("mode", "nearest"):
        case "nearest":
            return "nearest"
        case "linear":
            return "linear"
        case "cubic":
            return "cubic"
        case _:
            return None


def _kernel(node: ir.Node) -> Kernel:
    mode, attributes = _interpolation(node), node.attributes
    if mode == "nearest":
        return Kernel()
    a = attributes.get_float("cubic_coeff_a", -0.75) if mode == "cubic" else None
    return Kernel(
        cubic=mode == "cubic",
        coefficient=-0.75 if a is None else a,
        antialias=bool(attributes.get_int("antialias", 0)),
        exclude_outside=bool(attributes.get_int("exclude_outside", 0)),
    )


def _numbers(value: ir.Value | None) -> list[float] | None:
    """The elements of an optional input, none where it is left out; ``None`` where they are not constant."""
    if value is None:
        return []
    array = constant(value)
    return None if array is None else [float(element) for element in array.reshape(-1)]


def _from_scales(before: Sequence[int], scales: Sequence[float]) -> list[tuple[int, float]]:
    """Size and scale of every axis; nothing where the size hangs on the rounding of a product."""
    if len(scales) != len(before):
        return []
    after = [math.floor(size * scale) for size, scale in zip(before, scales, strict=True)]
    if not all(_grows_to(size, np.float32(scale)) == n for size, scale, n in zip(before, scales, after, strict=True)):
        return []
    return [_scaled(*line) for line in zip(before, after, scales, strict=True)]


def _grows_to(size: int, scale: np.float32) -> int:
    """The size of a result as runtimes compute it in 32 bits."""
    return int(np.float32(size) * scale)


def _scaled(size: int, resized: int, scale: float) -> tuple[int, float]:
    """The scale of the sizes in place of its value in 32 bits."""
    exact = np.float32(scale) == np.float32(resized / size) if size else False
    return resized, resized / size if exact else scale


def _from_sizes(node: ir.Node, before: Sequence[int], sizes: Sequence[float]) -> list[tuple[int, float]]:
    if len(sizes) != len(before) or min(before) < 1:
        return []
    wanted = [int(size) for size in sizes]
    factors = [new / size for new, size in zip(wanted, before, strict=True)]
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return list(zip(wanted, factors, strict=True))
    one = min(factors) if policy == "not_larger" else max(factors)
    return [_scaled(size, math.floor(one * size + 0.5), one) for size in before]


def _parts(roi: Sequence[float], count: int) -> list[tuple[float, float]]:
    if not roi:
        return [(0.0, 1.0)] * count
    return [(roi[i], roi[i + count]) for i in range(count)] if len(roi) == 2 * count else []


def write(model: ir.Model, node: ir.Node, resizing: Resizing, form: Form = "sizes") -> bool:
    """Make a node say a resizing in full, in one form where that form says it exactly, otherwise in the other.

    Returns:
        Whether the node was changed. It stays as it is where neither form can say it.
    """
    wanted = _inputs(resizing, form)
    if wanted is None:
        return False
    said = _say(node, _attributes(resizing))
    return _feed(model, node, wanted) or said


def _inputs(resizing: Resizing, form: Form) -> list[NDArray[np.generic] | None] | None:
    """Roi, scales and sizes, those at the end left out where they are absent."""
    roi: NDArray[np.generic] | None = None
    if resizing.coordinates == "tf_crop_and_resize":
        roi = np.array([axis.roi for axis in resizing.axes], dtype=np.float32).T.reshape(-1)
    scales = np.array([axis.scale for axis in resizing.axes], dtype=np.float32)
    products = [_grows_to(axis.size, scale) for axis, scale in zip(resizing.axes, scales, strict=True)]
    floors = [math.floor(axis.size * float(scale)) for axis, scale in zip(resizing.axes, scales, strict=True)]
    scales_say_it = tuple(products) == tuple(floors) == resizing.after
    if resizing.is_exact and (form == "sizes" or not scales_say_it):
        return [roi, None, np.array(resizing.after, dtype=np.int64)]
    return [roi, scales] if scales_say_it else None


def _attributes(resizing: Resizing) -> list[ir.Attr]:
    """Everything that has a meaning for the interpolation, and nothing else."""
    kernel, rule = resizing.kernel, resizing.coordinates
    said = [ir.AttrString("mode", resizing.interpolation), ir.AttrString("coordinate_transformation_mode", rule)]
    if resizing.interpolation == "nearest":
        said.append(ir.AttrString("nearest_mode", resizing.rounding))
    if kernel.cubic:
        said.append(ir.AttrFloat32("cubic_coeff_a", kernel.coefficient))
    if kernel.antialias:
        said.append(ir.AttrInt64("antialias", 1))
    if kernel.exclude_outside:
        said.append(ir.AttrInt64("exclude_outside", 1))
    if rule == "tf_crop_and_resize":
        said.append(ir.AttrFloat32("extrapolation_value", resizing.extrapolation))
    return said


def _say(node: ir.Node, wanted: Sequence[ir.Attr]) -> bool:
    present = {name: attribute.value for name, attribute in node.attributes.items()}
    if present == {attribute.name: attribute.value for attribute in wanted}:
        return False
    node.attributes.clear()
    for attribute in wanted:
        node.attributes.add(attribute)
    return True


def _feed(model: ir.Model, node: ir.Node, wanted: Sequence[NDArray[np.generic] | None]) -> bool:
    changed = len(node.inputs) != 1 + len(wanted)
    old = node.inputs[1:]
    node.resize_inputs(1 + len(wanted))
    for index, array in enumerate(wanted, start=1):
        present = constant(given(node, index))
        if array is None and given(node, index) is None:
            continue
        if array is not None and present is not None and np.array_equal(present, array):
            continue
        value = None if array is None else add_initializer(model, f"{node.name}_{_INPUTS[index - 1]}", array)
        node.replace_input_with(index, value)
        changed = True
    for value in old:
        unread = value is not None and value.is_initializer() and not value.uses() and not value.is_graph_output()
        if unread and value is not None and value.name is not None:
            model.graph.initializers.pop(value.name, None)
    return changed
