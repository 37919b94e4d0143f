"""Where the channels of a tensor go: through reshapes, transposes and splits to the nodes that compute with them.

Nothing is derived from the operators' attributes by algebra. A tensor whose elements are the numbers of their channels
takes the same way as the values do, so every split into heads and every fused projection is followed exactly, and what
arrives in an order that no rule knows is simply seen to be no channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.quantization import topology

Channels = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One place where the traced values are used.

    Attributes:
        node: who reads them; ``None`` for the graph's output.
        index: at which input.
        channels: in the shape of what is read: which channel of the origin each element holds, or is proportional to.
        through: the operators in between that compute: ``Relu``, or ``MatMul`` for a product of activations.
    """

    node: ir.Node | None
    index: int
    channels: Channels
    through: frozenset[str] = frozenset()

    @property
    def held(self) -> Channels:
        """The channels that occur, in rising order."""
        once = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in self.channels.strides)
        return np.unique(self.channels[once])  # what is broadcast need not be searched

    def along(self, axis: int) -> Channels | None:
        """The channel of the origin at each index of one dimension; ``None`` where it depends on the others too."""
        rows = np.moveaxis(self.channels, axis, -1).reshape(-1, self.channels.shape[axis])
        return rows[0] if rows.size and np.array_equal(rows, np.broadcast_to(rows[0], rows.shape)) else None


def readings(origin: ir.Value, axis: int, *, computing: bool = False) -> tuple[Reading, ...]:
    """Every use of a tensor's channels behind what only moves them; none when the tensor's shape is not known.

    Args:
        origin: the tensor.
        axis: the dimension that numbers channels.
        computing: follow them also through ``Relu``, which a positive factor passes, and from the right operand of a
            product of activations to its result: each column of ``A V`` is linear in the same column of ``V``.
    """
    shape = static_shape(origin)
    if shape is None:
        return ()
    numbers = np.arange(shape[axis], dtype=np.int32)
    spread = numbers.reshape([-1 if dim == axis % len(shape) else 1 for dim in range(len(shape))])
    found: list[Reading] = []
    pending = [(origin, np.broadcast_to(spread, shape), frozenset[str]())]
    while pending:
        value, channels, through = pending.pop()
        if value.is_graph_output():
            found.append(Reading(None, 0, channels, through))
        for use in value.uses():
            reading = Reading(use.node, use.idx, channels, through)
            moved = _moved(reading)
            if moved is not None:
                pending += [(*pair, through) for pair in zip(use.node.outputs, moved, strict=True)]
                continue
            computed = _computed(reading) if computing else None
            if computed is None:
                found.append(reading)
            else:
                pending.append((use.node.outputs[0], computed, through | {use.node.op_type}))
    return tuple(found)


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape, when every dimension is known."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(value.shape.numpy())


def _moved(reading: Reading) -> list[Channels] | None:
    """The channels of each output of a node that only moves values; ``None`` for other nodes."""
    node = reading.node
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _MOVES or reading.index != 0:
        return None
    shapes = [static_shape(out) for out in node.outputs]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    moved = _MOVES[node.op_type](node, reading.channels, known)
    fits = moved is not None and [one.shape for one in moved] == known
    return moved if fits else None


def _computed(reading: Reading) -> Channels | None:
    node = reading.node
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Relu":
        return reading.channels
    shape = static_shape(node.outputs[0])
    if node.op_type != "MatMul" or reading.index != 1 or shape is None or node.inputs[0] is node.inputs[1]:
        return None
    channels = reading.channels
    if channels.ndim < 2 or len(shape) < 2 or (channels != channels[..., :1, :]).any():
        return None
    return np.broadcast_to(channels[..., :1, :], shape)


def _reshape(node: ir.Node, channels: Channels, shapes: list[tuple[int, ...]]) -> list[Channels] | None:
    return [channels.reshape(shapes[0])] if channels.size == np.prod(shapes[0]) else None


def _transpose(node: ir.Node, channels: Channels, shapes: list[tuple[int, ...]]) -> list[Channels] | None:
    order = node.attributes.get("perm")
    return [channels.transpose(None if order is None else tuple(order.as_ints()))]


def _split(node: ir.Node, channels: Channels, shapes: list[tuple[int, ...]]) -> list[Channels] | None:
    axis = _axis(node)
    ends = np.cumsum([shape[axis] for shape in shapes])
    return list(np.split(channels, ends[:-1].tolist(), axis=axis))


def _gather(node: ir.Node, channels: Channels, shapes: list[tuple[int, ...]]) -> list[Channels] | None:
    indices = topology.constant(node.inputs[1])
    return None if indices is None else [np.take(channels, indices.astype(np.int64), axis=_axis(node))]


def _slice(node: ir.Node, channels: Channels, shapes: list[tuple[int, ...]]) -> list[Channels] | None:
    given = [value for value in node.inputs[1:] if value is not None]
    parts = [topology.constant(value) for value in given]
    numbers = [np.ravel(part).astype(np.int64).tolist() for part in parts if part is not None]
    if len(numbers) < len(node.inputs) - 1:  # computed in the graph, or left out in between
        return None
    starts, ends, *rest = numbers
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    if min(steps) < 1:
        return None
    chosen = [slice(None)] * channels.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        chosen[axis] = slice(start, end, step)
    return [channels[tuple(chosen)]]


def _axis(node: ir.Node) -> int:
    found = node.attributes.get("axis")
    return 0 if found is None else found.as_int()


_Mover = Callable[[ir.Node, Channels, list[tuple[int, ...]]], "list[Channels] | None"]

_MOVES: Final[Mapping[str, _Mover]] = {
    "Flatten": _reshape,
    "Gather": _gather,
    "Identity": _reshape,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
