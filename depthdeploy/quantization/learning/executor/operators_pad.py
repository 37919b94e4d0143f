"""``Pad`` in all its modes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthdeploy.quantization.learning.executor.batching import within
from depthdeploy.quantization.learning.executor.operators_shape import axes_of
from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Operator, Registry, host
from depthdeploy.quantization.learning.executor.windows import flat_pads


def pad(
    attributes: Attributes,
    x: Tensor,
    pads: Tensor | None = None,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    """More elements at both ends: a constant, the reflection, the edge, or the other end; fewer where negative."""
    begin, end = _ends(attributes, x.ndim, pads, axes)
    mode = attributes.text("mode", "constant")
    if mode == "constant":
        fill = value.item() if value is not None else attributes.number("value", 0.0)
        if not x.is_floating_point():
            fill = int(fill)
        return functional.pad(x, flat_pads(begin, end), value=fill)
    for axis, (before, after) in enumerate(zip(begin, end, strict=True)):
        if before or after:
            x = x.index_select(axis, _places(x.shape[axis], before, after, mode).to(x.device))
    return x


def _ends(attributes: Attributes, rank: int, pads: Tensor | None, axes: Tensor | None) -> tuple[list[int], list[int]]:
    given = axes_of(attributes, pads, "pads") or []
    along = axes_of(attributes, axes) if axes is not None else list(range(rank))
    begin, end = [0] * rank, [0] * rank
    for index, axis in enumerate(along or []):
        begin[axis], end[axis] = given[index], given[index + len(given) // 2]
    return begin, end


def _places(size: int, before: int, after: int, mode: str) -> Tensor:
    """Which element of the input stands at every place of the output."""
    kept = np.arange(size)[max(0, -before) : size - max(0, -after)]
    name = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}[mode]
    places = np.pad(kept, (max(0, before), max(0, after)), mode=name)  # type: ignore[call-overload]
    return torch.from_numpy(places)


def _padded(attributes: Attributes, rank: int, call: Call) -> list[int]:
    inputs = [*call.inputs, None, None, None]
    begin, end = _ends(attributes, rank, inputs[1], inputs[3])
    return [axis for axis in range(rank) if begin[axis] or end[axis]]


OPERATORS: Registry = {"Pad": Operator(pad, within(_padded), host(1, 2, 3))}
