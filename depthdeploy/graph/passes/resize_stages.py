"""A large ``Resize`` as several smaller ones, where that is exactly the same function."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, pairwise
from typing import Final

import onnx_ir as ir

from depthdeploy.graph.resize import Resizing
from depthdeploy.graph.resize_node import Form, resizes, write
from depthdeploy.interpolation import Axis

#: No network needs more: four stages by four are a factor of 256.
_STAGES: Final = 4

#: Rules whose stages can be the same function, and the distance of the factors that hold all old pixels: every whole
#: one, or every odd one.
_STEPS: Final = {"asymmetric": 1, "align_corners": 1, "half_pixel": 2, "pytorch_half_pixel": 2}


@dataclass(frozen=True, slots=True)
class ResizeStages:
    """A nearest or linear ``Resize`` that grows a side by more than a factor becomes a row of resizes by less.

    Linear interpolation in stages is the same function where every grid in between holds all pixels of the one before,
    for what lies between two pixels is a straight line: by ``align_corners`` when a stage goes from n to (n-1)a+1, by
    ``asymmetric`` when it grows by a whole factor, by ``half_pixel`` when it grows by an odd one. The last stage may
    grow by any factor; a whole one is preferred. Half-pixel from 17 to 513, which a compiler of Hailo's cannot place
    at once, is 17 to 85 to 513.

    Each split is proven before it is made: the product of the stages' matrices is the matrix of the one resize, for
    the sizes at hand. What cannot be split exactly stays.

    Attributes:
        max_factor: the largest factor, size of the result by size of the input, of one stage.
        form: what is given, the sizes of the result or the scales; see ``ResizeExplicit``.
    """

    max_factor: int
    form: Form = "sizes"
    name: str = "resize-stages"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node, resizing in resizes(model):
            stages = _stages(resizing, self.max_factor)
            if stages:
                _split(model, node, stages, self.form)
                changed = True
        return changed


def _stages(resizing: Resizing, limit: int) -> tuple[Resizing, ...]:
    """The fewest stages that are the same function; none where one is enough or none are exact."""
    large = any(_factor(axis) > limit for axis in resizing.axes)
    known = resizing.interpolation != "cubic" and resizing.coordinates in _STEPS
    if not (large and known and resizing.is_exact and resizing.is_definite):
        return ()
    for count in range(2, _STAGES + 1):
        sizes = [_axis_sizes(resizing, index, limit, count) for index in range(len(resizing.axes))]
        if all(sizes):
            return _through(resizing, list(zip(*sizes, strict=True)))
    return ()


def _factor(axis: Axis) -> float:
    return axis.resized / axis.size


def _axis_sizes(resizing: Resizing, index: int, limit: int, count: int) -> tuple[int, ...]:
    """The sizes of one axis after each stage, proven; none where this many stages are not exact."""
    axis = resizing.axes[index]
    if _factor(axis) <= limit:
        return (*[axis.size] * (count - 1), axis.resized)
    alone = replace(resizing, axes=(axis,))
    candidates = sorted(_candidates(axis, resizing.interpolation == "linear", limit, count), key=_preference)
    for sizes in candidates:
        if alone.same(*_through(alone, [(size,) for size in sizes[1:]])):
            return sizes[1:]
    return ()


def _candidates(axis: Axis, linear: bool, limit: int, count: int) -> Iterator[tuple[int, ...]]:
    """Sizes from the input to the result that could be the same function."""
    step = _STEPS[axis.coordinates] if linear else 1
    corners = axis.coordinates == "align_corners" and axis.size > 1
    for factors in combinations_with_replacement(range(1 + step, limit + 1, step), count - 1):
        between = [(axis.size - 1) * n + 1 if corners else axis.size * n for n in _products(factors)]
        if between[-1] <= axis.resized <= between[-1] * limit:
            yield axis.size, *between, axis.resized


def _products(factors: tuple[int, ...]) -> list[int]:
    return [math.prod(factors[: end + 1]) for end in range(len(factors))]


def _preference(sizes: tuple[int, ...]) -> tuple[bool, int, tuple[int, ...]]:
    """A whole last factor first, then factors that are alike, then the smallest maps."""
    last, before = sizes[-1], sizes[-2]
    broken = last % before != 0 and (last - 1) % max(before - 1, 1) != 0
    return broken, max(math.ceil(new / old) for old, new in pairwise(sizes)), sizes


def _through(resizing: Resizing, sizes: list[tuple[int, ...]]) -> tuple[Resizing, ...]:
    """The resizes from each sizes to the next."""
    result, current = [], resizing
    for after in sizes:
        result.append(current.with_sizes(after))
        current = current.after_sizes(after)
    return tuple(result)


def _split(model: ir.Model, node: ir.Node, stages: tuple[Resizing, ...], form: Form) -> None:
    for number, stage in enumerate(stages[:-1], start=1):
        label = f"{node.name or node.outputs[0].name}_stage{number}"
        fresh = ir.Node("", "Resize", [node.inputs[0]], num_outputs=1, name=label)
        value = fresh.outputs[0]
        value.name, value.type, value.shape = label, node.outputs[0].type, ir.Shape(stage.after)
        if node.graph is not None:
            node.graph.insert_before(node, fresh)
        write(model, fresh, stage, form)
        node.replace_input_with(0, value)
    write(model, node, stages[-1], form)
