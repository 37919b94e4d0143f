"""Padding by copies of the image, for parsers that pad with a constant alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import constant, given, main_nodes, static_shape
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.replacement import opset

Mode = Literal["reflect", "edge", "wrap", "constant"]


@dataclass(frozen=True, slots=True)
class PadLowering:
    """``Pad`` by mirrored, repeated or wrapped rows becomes ``Concat`` of slices; negative amounts become ``Slice``.

    Attributes:
        modes: which are taken apart; ``constant`` becomes ``Concat`` with constants, for parsers without any ``Pad``.
        largest: rows a side up to which it is done: every mirrored row is a slice of its own.
        negative: whether amounts below 0 become slices.
    """

    modes: tuple[Mode, ...] = ("reflect", "edge", "wrap")
    largest: int = 16
    negative: bool = True
    name: str = "pad-lowering"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Pad") if opset(model) >= 18 else ():
            amounts = _amounts(node)
            if amounts is not None and not _is_empty(node, amounts):
                changed |= self._rewrite(model, node, amounts)
        return changed

    def _rewrite(self, model: ir.Model, node: ir.Node, amounts: Mapping[int, tuple[int, int]]) -> bool:
        mode = node.attributes.get_string("mode", "constant") or "constant"
        x, shape = node.inputs[0], static_shape(node.inputs[0])
        cuts = self.negative and any(min(pair) < 0 for pair in amounts.values())
        grows = mode in self.modes and self._fits(mode, shape or (), amounts)
        if x is None or shape is None or not (cuts or grows) or (not grows and mode != "constant"):
            return False
        parts = Emission(model, node)
        value = _cut(parts, x, amounts)
        grown = {axis: (max(before, 0), max(after, 0)) for axis, (before, after) in amounts.items()}
        grown = {axis: pair for axis, pair in grown.items() if any(pair)}
        if grows:
            for axis, pair in grown.items():
                value = _grown(parts, value, axis, pair, mode)
        elif grown:
            value = _padded(parts, value, len(shape), grown)
        if value is x:
            return False
        parts.finish(value)
        return True

    def _fits(self, mode: str, shape: tuple[int, ...], amounts: Mapping[int, tuple[int, int]]) -> bool:
        """Whether one copy of the image reaches far enough, and what is cut is not copied."""
        spare = 1 if mode == "reflect" else 0
        for axis, pair in amounts.items():
            left = shape[axis] + sum(min(amount, 0) for amount in pair)
            mixed = min(pair) < 0 < max(pair) and mode != "constant"
            too_far = mode in ("reflect", "wrap") and max(pair) > left - spare
            if mixed or too_far or left < 1 or (max(pair) > self.largest and mode in ("reflect", "edge")):
                return False
        return self.negative or all(min(pair) >= 0 for pair in amounts.values())


def _amounts(node: ir.Node) -> dict[int, tuple[int, int]] | None:
    """Axis -> rows before and after, of the axes that change; ``None`` where they are not constant."""
    shape, pads, axes = static_shape(node.inputs[0]), constant(given(node, 1)), constant(given(node, 3))
    fill = given(node, 2)
    if shape is None or pads is None or (axes is None and given(node, 3) is not None):
        return None
    if fill is not None and constant(fill) is None:
        return None
    named = range(len(shape)) if axes is None else [int(axis) % len(shape) for axis in axes]
    pairs = {axis: (int(pads[i]), int(pads[i + len(named)])) for i, axis in enumerate(named)}
    return {axis: pair for axis, pair in pairs.items() if any(pair)}


def _is_empty(node: ir.Node, amounts: Mapping[int, tuple[int, int]]) -> bool:
    shape = static_shape(node.inputs[0]) or ()
    return 0 in shape or any(shape[axis] + min(a, 0) + min(b, 0) < 1 for axis, (a, b) in amounts.items())


def _cut(parts: Emission, x: ir.Value, amounts: Mapping[int, tuple[int, int]]) -> ir.Value:
    for axis, pair in amounts.items():
        size = (static_shape(x) or ())[axis]
        first, last = max(-pair[0], 0), size - max(-pair[1], 0)
        if (first, last) != (0, size):
            x = _rows(parts, x, axis, (first, last), f"cut_{axis}")
    return x


def _rows(parts: Emission, x: ir.Value, axis: int, rows: tuple[int, int], what: str) -> ir.Value:
    numbers = [parts.whole([number], f"{what}_{word}") for number, word in zip((*rows, axis), _WORDS, strict=True)]
    return parts.emit("Slice", x, *numbers, what=what)


_WORDS: Final = ("start", "end", "axis")


def _grown(parts: Emission, x: ir.Value, axis: int, pair: tuple[int, int], mode: str) -> ir.Value:
    pieces = _SIDES[mode](parts, x, axis, pair)
    return parts.emit("Concat", *pieces, what=f"padded_{axis}", axis=axis)


def _mirrored(parts: Emission, x: ir.Value, axis: int, pair: tuple[int, int]) -> list[ir.Value]:
    size = (static_shape(x) or ())[axis]
    before = [_row(parts, x, axis, row) for row in range(pair[0], 0, -1)]
    return [*before, x, *(_row(parts, x, axis, size - 2 - row) for row in range(pair[1]))]


def _row(parts: Emission, x: ir.Value, axis: int, row: int) -> ir.Value:
    return _rows(parts, x, axis, (row, row + 1), f"row_{axis}_{row}")


def _repeated(parts: Emission, x: ir.Value, axis: int, pair: tuple[int, int]) -> list[ir.Value]:
    size = (static_shape(x) or ())[axis]
    first = [_row(parts, x, axis, 0)] if pair[0] else []
    last = [_row(parts, x, axis, size - 1)] if pair[1] else []
    return [*(first * pair[0]), x, *(last * pair[1])]


def _wrapped(parts: Emission, x: ir.Value, axis: int, pair: tuple[int, int]) -> list[ir.Value]:
    size = (static_shape(x) or ())[axis]
    before = [_rows(parts, x, axis, (size - pair[0], size), f"tail_{axis}")] if pair[0] else []
    return [*before, x, *([_rows(parts, x, axis, (0, pair[1]), f"head_{axis}")] if pair[1] else [])]


def _filled(parts: Emission, x: ir.Value, axis: int, pair: tuple[int, int]) -> list[ir.Value]:
    shape, fill = static_shape(x) or (), _fill(parts.node)
    before, after = (
        [parts.constant(np.full((*shape[:axis], rows, *shape[axis + 1 :]), fill), f"filled_{axis}")] if rows else []
        for rows in pair
    )
    return [*before, x, *after]


def _fill(node: ir.Node) -> NDArray[np.generic]:
    """The constant, of the type of the data; 0 where none is given."""
    fill, x = constant(given(node, 2)), node.inputs[0]
    kind = np.dtype(np.float32) if x is None or x.dtype is None else x.dtype.numpy()
    return np.zeros((), kind) if fill is None or fill.size == 0 else fill.reshape(()).astype(kind)


def _padded(parts: Emission, x: ir.Value, rank: int, amounts: Mapping[int, tuple[int, int]]) -> ir.Value:
    """What is left of a ``Pad`` by a constant, amounts for all axes."""
    pads = [amounts.get(axis, (0, 0))[side] for side in (0, 1) for axis in range(rank)]
    return parts.emit("Pad", x, parts.whole(pads, "pads"), given(parts.node, 2), what="padded", mode="constant")


#: Mode -> the pieces of a padded axis, in order.
_SIDES: Final[Mapping[str, Callable[[Emission, ir.Value, int, tuple[int, int]], list[ir.Value]]]] = {
    "constant": _filled,
    "edge": _repeated,
    "reflect": _mirrored,
    "wrap": _wrapped,
}
