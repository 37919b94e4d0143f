"""Slices whose every number says what is meant: no index from behind, none beyond the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import bypass, constant, given, main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.replacement import opset


@dataclass(frozen=True, slots=True)
class Cut:
    """A slice along one axis: the elements ``range(start, end, step)``; ``end`` is -1 where it runs to the first."""

    axis: int
    start: int
    end: int
    step: int

    @property
    def elements(self) -> range:
        """What is kept."""
        return range(self.start, self.end, self.step)


@dataclass(frozen=True, slots=True)
class SliceLowering:
    """``Slice`` by constants gets starts and ends within the tensor, its axes by name, and no steps where they are 1.

    Axes that are kept whole are not named.

    Attributes:
        single_axis: a slice of several axes becomes one after the other.
        strided: what becomes of steps other than 1: they stay, or the elements are gathered by their numbers.
    """

    single_axis: bool = False
    strided: Literal["keep", "gather"] = "keep"
    name: str = "slice-lowering"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Slice") if opset(model) >= 13 else ():
            cuts = _cuts(node)
            if cuts is not None and not self._is_lowered(node, cuts):
                changed |= self._rewrite(model, node, cuts)
        return changed

    def _is_lowered(self, node: ir.Node, cuts: Sequence[Cut]) -> bool:
        if (self.single_axis and len(cuts) > 1) or (self.strided == "gather" and any(cut.step != 1 for cut in cuts)):
            return False
        found = [constant(given(node, index)) for index in range(1, 5)]
        wanted = _numbers(node, cuts)
        return len(node.inputs) == 1 + len(wanted) and all(
            array is not None and array.tolist() == numbers for array, numbers in zip(found, wanted, strict=False)
        )

    def _rewrite(self, model: ir.Model, node: ir.Node, cuts: Sequence[Cut]) -> bool:
        value = node.inputs[0]
        if value is None or (not cuts and not bypass(node)):
            return False
        if not cuts:
            return True
        parts = Emission(model, node)
        gathered = [cut for cut in cuts if cut.step != 1] if self.strided == "gather" else []
        sliced = [cut for cut in cuts if cut not in gathered]
        for group in [[cut] for cut in sliced] if self.single_axis else [sliced] if sliced else []:
            ends = [parts.whole(n, what) for n, what in zip(_numbers(node, group), _WORDS, strict=False)]
            value = parts.emit("Slice", value, *ends, what="_".join(["slice", *(str(cut.axis) for cut in group)]))
        for cut in gathered:
            order = parts.constant(np.array(cut.elements, dtype=np.int64), f"order_{cut.axis}")
            value = parts.emit("Gather", value, order, what=f"gather_{cut.axis}", axis=cut.axis)
        parts.finish(value)
        return True


_WORDS = ("starts", "ends", "axes", "steps")


def _cuts(node: ir.Node) -> list[Cut] | None:
    """What is done to each axis that is not kept whole; ``None`` where that is not known, or nothing is left."""
    shape = static_shape(node.inputs[0])
    given_numbers = [constant(given(node, index)) for index in range(1, 5)]
    starts, ends = given_numbers[:2]
    present = [given(node, index) is not None for index in range(1, 5)]
    if (
        shape is None
        or starts is None
        or ends is None
        or any(there and array is None for there, array in zip(present, given_numbers, strict=True))
    ):
        return None
    axes = range(len(starts)) if given_numbers[2] is None else [int(axis) % len(shape) for axis in given_numbers[2]]
    steps = [1] * len(starts) if given_numbers[3] is None else [int(step) for step in given_numbers[3]]
    numbers = zip(axes, starts, ends, steps, strict=True)
    cuts = [_cut(axis, shape[axis], int(start), int(end), step) for axis, start, end, step in numbers]
    if any(len(cut.elements) == 0 for cut in cuts):
        return None
    kept = [cut for cut in cuts if cut.elements != range(shape[cut.axis])]
    return sorted(kept, key=lambda cut: cut.axis)


def _cut(axis: int, size: int, start: int, end: int, step: int) -> Cut:
    """The elements as ONNX counts them, the end right behind the last of them."""
    start, end = (number + size if number < 0 else number for number in (start, end))
    start = min(max(start, 0), size if step > 0 else size - 1)
    end = min(max(end, 0 if step > 0 else -1), size if step > 0 else size - 1)
    elements = range(start, end, step)
    return Cut(axis, start, elements[-1] + (1 if step > 0 else -1) if elements else start, step)


def _numbers(node: ir.Node, cuts: Sequence[Cut]) -> list[list[int]]:
    """Starts, ends and axes, and steps where one is not 1; an end before the first element is ``-size - 1``."""
    shape = static_shape(node.inputs[0]) or ()
    ends = [cut.end if cut.end >= 0 else -shape[cut.axis] - 1 for cut in cuts]
    numbers = [[cut.start for cut in cuts], ends, [cut.axis for cut in cuts]]
    return numbers if all(cut.step == 1 for cut in cuts) else [*numbers, [cut.step for cut in cuts]]
