"""Float graphs whose weights lie on our grids, so that a vendor's own quantizer gives our integers.

Such a quantizer takes no scales: it computes them, from the largest magnitude of every channel. It finds ours if every
channel holds a weight of exactly the magnitude that it divides: an anchor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import BiasGrid, QuantPlan, WeightGrid
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import with_constants, with_grids
from depthdeploy.quantization.workbench import Draft

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class MaxAbs:
    """How a vendor's quantizer finds integers: ``s = max|w| / divisor``, ``q = clip(rint(w / s), lowest, highest)``.

    Attributes:
        divisor: 127 almost everywhere for 8 bits; some use 127.5 or 128.
        lowest: the smallest integer, -128 or -127.
        highest: the largest integer.
    """

    divisor: float = 127.0
    lowest: int = -128
    highest: int = 127

    def __post_init__(self) -> None:
        if not (self.lowest < 0 < self.highest <= self.divisor <= self.highest + 1):
            raise ValueError(f"lowest < 0 < highest <= divisor <= highest + 1 must hold, got {self}")

    def quantize(self, rows: Floats) -> NDArray[np.int64]:
        """Integers of ``[channels, weights]``, computed in the dtype of ``rows``; a channel of zeros stays zeros."""
        largest = np.abs(rows).max(axis=1, keepdims=True)
        scale = np.where(largest > 0, largest / rows.dtype.type(self.divisor), rows.dtype.type(1))
        return np.clip(np.rint(rows / scale), self.lowest, self.highest).astype(np.int64)

    def targets(self, grid: Grid) -> tuple[int | None, int | None]:
        """The integers of a positive and of a negative anchor; ``None`` where our grid has no such integer."""
        above = min(int(np.rint(self.divisor)), self.highest)
        below = max(int(np.rint(-self.divisor)), self.lowest)
        known = range(grid.format.qmin, grid.format.qmax + 1)
        return (above if above in known else None), (below if below in known else None)


def anchored(draft: Draft, out: Path, rule: MaxAbs | None = None, *, learned: bool = False) -> Draft:
    """The draft with an anchor in every channel of every weight.

    A channel that has none is given one in the way that changes its weights less: a scale at which its largest weight
    is the anchor, or its largest weight made one. A channel whose scale was raised so that a large bias fits always
    takes the second way; it holds next to nothing.

    Args:
        draft: with weights on signed grids around 0.
        out: where the graph is written if weights change.
        rule: the vendor's; by the weights' own format when ``None``.
        learned: the rounding of the weights was learned: scales stay, and so does every integer but the anchors.

    Raises:
        QuantizationError: a grid is not around 0, or a channel cannot have an anchor under the rule.
    """
    plan = draft.plan
    if not learned:
        found = {line.node: _Weight.read(node, line, rule).rescaled() for line, node in _weights(draft.model, plan)}
        plan = with_grids(draft.model, plan, weights={name: grid for name, grid in found.items() if grid is not None})
    arrays: dict[str, Floats] = {}
    for line, node in _weights(draft.model, plan):
        pushed = _Weight.read(node, line, rule).pushed()
        if pushed is not None:
            arrays[line.tensor] = pushed
    if arrays:
        return replace(draft, plan=plan, model=with_constants(draft.model, arrays, out))
    return replace(draft, plan=plan)


def on_grid(draft: Draft, out: Path, rule: MaxAbs | None = None) -> OnnxModel:
    """Write the draft's float graph with every weight and bias at the real value of its integer.

    Args:
        draft: an anchored one.
        out: the file to write.
        rule: the vendor's; by the weights' own format when ``None``.

    Raises:
        QuantizationError: a channel has no anchor, or one constant belongs to nodes with different grids.
    """
    arrays: dict[str, Floats] = {}
    for line, node in _weights(draft.model, draft.plan):
        _put(arrays, line.tensor, _Weight.read(node, line, rule).real())
    nodes = _nodes(draft.model)
    for bias in draft.plan.biases:
        _put(arrays, bias.tensor, _real_bias(nodes[bias.node], bias))
    return with_constants(draft.model, arrays, out)


def check_on_grid(model: OnnxModel, draft: Draft, rule: MaxAbs | None = None) -> None:
    """Prove that the vendor's rule gives the draft's integers from a graph's weights, in float32 and in float64.

    Raises:
        QuantizationError: it gives others; the nodes are named with how many integers differ.
    """
    wrong: list[str] = []
    written = _nodes(model)
    for line, node in _weights(draft.model, draft.plan):
        weight = _Weight.read(node, line, rule)
        stored = np.asarray(topology.constant(written[line.node].inputs[1]), dtype=np.float32)
        ours, rows = weight.integers(), weight.rows(stored)
        for dtype in (np.float32, np.float64):
            differing = int(np.count_nonzero(weight.rule.quantize(rows.astype(dtype)) != ours))
            if differing:
                wrong.append(f"{line.node} ({differing} of {ours.size} in {np.dtype(dtype).name})")
    if wrong:
        raise QuantizationError(
            f"A max-abs quantizer gives other integers at {len(wrong)} places: {', '.join(wrong[:5])}.",
            "Anchor the draft, then write it on its grid.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Weight:
    """One weight as ``[channels, weights]`` float32, with one scale per channel, float64."""

    line: WeightGrid
    rule: MaxAbs
    values: NDArray[np.float32]

    @classmethod
    def read(cls, node: ir.Node, line: WeightGrid, rule: MaxAbs | None) -> _Weight:
        form = line.grid.format
        if not form.signed or any(line.grid.zero_point):
            raise QuantizationError(
                f"The weight {line.tensor} of {line.node} has a grid of {form} that is not around 0.",
                "A max-abs quantizer has symmetric grids only.",
            )
        values = np.asarray(topology.constant(node.inputs[1]), dtype=np.float32)
        return cls(line, rule or MaxAbs(float(form.qmax), form.qmin, form.qmax), values)

    def rows(self, array: Floats) -> Floats:
        """An array of the weight's shape as ``[channels, weights]``."""
        axis = self.line.grid.axis
        return array.reshape(1, -1) if axis is None else np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)

    def unrowed(self, rows: Floats) -> NDArray[np.float32]:
        """The inverse of :meth:`rows`, float32."""
        axis = self.line.grid.axis
        if axis is None:
            return rows.reshape(self.values.shape).astype(np.float32)
        others = [side for dim, side in enumerate(self.values.shape) if dim != axis]
        return np.moveaxis(rows.reshape(-1, *others), 0, axis).astype(np.float32)

    def integers(self) -> NDArray[np.int64]:
        """As the plan stores them, ``[channels, weights]``."""
        return np.asarray(self.rows(self.line.grid.quantize(self.values).astype(np.float64)), dtype=np.int64)

    def anchors(self) -> NDArray[np.bool_]:
        """``[channels, weights]``, where an anchor's integer stands."""
        integers = self.integers()
        return np.isin(integers, [target for target in self.rule.targets(self.line.grid) if target is not None])

    def short(self) -> NDArray[np.bool_]:
        """The channels that hold a weight, but no anchor."""
        integers = self.integers()
        found: NDArray[np.bool_] = ~self.anchors().any(axis=1) & (integers != 0).any(axis=1)
        return found

    def _scales(self) -> NDArray[np.float64]:
        return np.asarray(self.line.grid.scale, dtype=np.float64)[:, None]

    def _largest(self) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """In every channel: where the largest weight that can be an anchor stands, and its integer.

        Raises:
            QuantizationError: a channel that needs one has weights of the wrong sign only.
        """
        above, below = self.rule.targets(self.line.grid)
        rows = self.rows(self.values)
        able = np.where(((rows > 0) & (above is not None)) | ((rows < 0) & (below is not None)), np.abs(rows), -1.0)
        where = able.argmax(axis=1)
        lacking = self.short() & (able.max(axis=1) <= 0)
        if lacking.any():
            raise QuantizationError(
                f"{int(lacking.sum())} channels of {self.line.tensor} of {self.line.node} cannot reach the integer "
                f"that max|w|/{self.rule.divisor:g} stands for.",
                "Use a number format with this integer.",
            )
        positive = rows[np.arange(len(rows)), where] > 0
        return where, np.where(positive, above or 0, below or 0).astype(np.int64)

    def pushed(self) -> NDArray[np.float32] | None:
        """The weight with its largest value made the anchor in every channel that has none; ``None`` if all have."""
        short = self.short()
        if not short.any():
            return None
        where, target = self._largest()
        rows = np.array(self.rows(self.values), dtype=np.float64)
        chosen = np.flatnonzero(short)
        rows[chosen, where[chosen]] = target[chosen] * self._scales()[chosen, 0]
        return self.unrowed(rows)

    def rescaled(self) -> Grid | None:
        """The grid with a finer scale in every channel without anchor that this changes less than a pushed weight."""
        short = self.short()
        if not short.any():
            return None
        rows = np.asarray(self.rows(self.values), dtype=np.float64)
        where, target = self._largest()
        old, each = self._scales(), np.arange(len(rows))
        magnitude = np.abs(rows[each, where])
        finer = np.where(short, magnitude / self.rule.divisor, old[:, 0]).astype(np.float32)
        finer = np.where(finer > 0, finer, old[:, 0]).astype(np.float32)
        form = self.line.grid.format
        error = rows - np.clip(np.rint(rows / finer[:, None]), form.qmin, form.qmax) * finer[:, None]
        pushed = rows - np.clip(np.rint(rows / old), form.qmin, form.qmax) * old
        pushed[each, where] = rows[each, where] - target * old[:, 0]
        better = short & (np.square(error).sum(axis=1) < np.square(pushed).sum(axis=1))
        return replace(self.line.grid, scale=tuple(np.where(better, finer, old[:, 0]).astype(np.float32).tolist()))

    def real(self) -> NDArray[np.float32]:
        """Integers times scales, one anchor per channel at ``divisor`` times the scale.

        Raises:
            QuantizationError: a channel has no anchor.
        """
        short = self.short()
        if short.any():
            raise QuantizationError(
                f"{int(short.sum())} channels of {self.line.tensor} of {self.line.node} have no anchor: a max-abs "
                "quantizer would find another scale.",
                "Anchor the draft first.",
            )
        integers, anchors = self.integers(), self.anchors()
        multiples = integers.astype(np.float64)
        first, has = anchors.argmax(axis=1), anchors.any(axis=1)
        chosen = np.flatnonzero(has)
        multiples[chosen, first[chosen]] = np.sign(integers[chosen, first[chosen]]) * self.rule.divisor
        return self.unrowed(multiples * self._scales())


def _real_bias(node: ir.Node, line: BiasGrid) -> NDArray[np.float32]:
    """The real values of a bias's integers; beyond 24 bits, which float32 cannot hold, the bias as it was."""
    bias = np.asarray(topology.constant(node.inputs[2]), dtype=np.float64)
    scale = np.asarray(line.scale, dtype=np.float32).astype(np.float64)
    integers = np.rint(bias / scale)
    real = (integers * scale).astype(np.float32)
    same = np.rint(real.astype(np.float64) / scale) == integers
    return np.where(same, real, bias.astype(np.float32)).astype(np.float32)


def _nodes(model: OnnxModel) -> Mapping[str, ir.Node]:
    return {topology.label(node): node for node in topology.load(model).graph}


def _weights(model: OnnxModel, plan: QuantPlan) -> tuple[tuple[WeightGrid, ir.Node], ...]:
    nodes = _nodes(model)
    return tuple((line, nodes[line.node]) for line in plan.weights)


def _put(arrays: dict[str, Floats], name: str, array: Floats) -> None:
    known = arrays.setdefault(name, array)
    if not np.array_equal(known, array):
        raise QuantizationError(
            f"The constant {name} belongs to nodes with different grids.", "Give every node a constant of its own."
        )
