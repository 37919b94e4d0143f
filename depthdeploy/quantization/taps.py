"""Taps: a graph with further outputs, through which calibration reads its activations while it runs at full speed."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.inference import OnnxSession, threads
from depthdeploy.quantization import topology

Array = NDArray[np.float32]

#: Bytes of activations that may be held at once over all photographs in flight.
_BUDGET = 512 << 20

#: Photographs that run side by side at most: beyond, little time is gained and memory is lost.
_MOST_WORKERS = 4

#: Tensor -> the outputs whose values stand for it.
Outlets = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Taps:
    """An open session and its outlets.

    Attributes:
        session: the graph with the outlets as outputs.
        input: the graph's input, which is tapped without the session.
        rounds: the outlets of one run each; together they are too large to be held, so a photograph takes several runs.
        floored: the tensors of which only the largest value is read, because nothing in them is below 0.
        workers: how many runs may be under way at once.
    """

    session: OnnxSession
    input: str
    rounds: tuple[Outlets, ...]
    floored: frozenset[str]
    workers: int

    def read(self, tensor: NDArray[np.generic], outlets: Outlets) -> dict[str, Array]:
        """Run the graph on one photograph: tensor -> its values, or the few that stand for them, flattened."""
        wanted = [name for outputs in outlets.values() for name in outputs if name != self.input]
        arrays = dict(zip(wanted, self.session.run(tensor, wanted), strict=True))
        arrays[self.input] = tensor
        return {name: self._values(name, [arrays[output] for output in outputs]) for name, outputs in outlets.items()}

    def _values(self, name: str, arrays: Sequence[NDArray[np.generic]]) -> Array:
        parts = [np.asarray(array, dtype=np.float32).reshape(-1) for array in arrays]
        if name in self.floored:
            parts.append(np.zeros(1, dtype=np.float32))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@contextmanager
def tapped(model: OnnxModel, names: Sequence[str], *, extremes: bool) -> Iterator[Taps]:
    """Open a graph with taps on the named tensors.

    Args:
        model: the graph.
        names: the tensors, the graph's input among them or not.
        extremes: read the smallest and largest value of every tensor in place of all: the graph reduces them itself,
            while they are in the cache. The graph's own outputs are always read whole, because ONNX Runtime's
            reductions pass over NaN, and a NaN anywhere spreads to the output.

    Raises:
        ModelError: the graph cannot be read, or ONNX Runtime refuses it.
    """
    graph_model = topology.load(model)
    graph = graph_model.graph
    values = {value.name: value for node in graph for value in node.outputs}
    whole = {value.name for value in graph.outputs}
    outlets: dict[str, tuple[str, ...]] = {}
    sizes: dict[str, int] = {}
    for name in names:
        value = values.get(name)
        if value is None or name in whole:
            outlets[name] = (name,)
        elif extremes:
            outlets[name] = _reduce(graph, value)
        else:
            outlets[name] = (_expose(graph, value),)
        sizes[name] = 4 if extremes or value is None else _bytes(value)
    with tempfile.TemporaryDirectory(prefix="depthdeploy-") as folder:
        path = Path(folder) / "tapped.onnx"
        ir.save(graph_model, path)
        peak = sum(_bytes(values[name]) for name in names if name in values)
        workers = max(1, min(threads(), _MOST_WORKERS, _BUDGET // max(peak, 1)))
        session = OnnxSession(path, intra_threads=max(1, threads() // workers))
        floored = frozenset(name for name, outputs in outlets.items() if len(outputs) == 1 and outputs[0] != name)
        yield Taps(session, model.input.name, _rounds(outlets, sizes), floored, workers)


def _rounds(outlets: Outlets, sizes: Mapping[str, int]) -> tuple[Outlets, ...]:
    rounds: list[dict[str, tuple[str, ...]]] = [{}]
    held = 0
    for name, outputs in outlets.items():
        if rounds[-1] and held + sizes[name] > _BUDGET:
            rounds.append({})
            held = 0
        rounds[-1][name] = outputs
        held += sizes[name]
    return tuple(rounds)


def _bytes(value: ir.Value) -> int:
    """Of float32 values; a tensor of unknown shape counts as none."""
    if value.shape is None or not value.shape.is_static():
        return 0
    return 4 * math.prod(value.shape.numpy())


def _expose(graph: ir.Graph, value: ir.Value) -> str:
    if value.type is None:
        value.type = ir.TensorType(ir.DataType.FLOAT)
    if not value.is_graph_output():
        graph.outputs.append(value)
    return topology.name_of(value)


def _reduce(graph: ir.Graph, value: ir.Value) -> tuple[str, ...]:
    """Outputs with the largest and, unless nothing in it can be below 0, the smallest value of a tensor.

    A grid holds 0 in any case, so behind a ``Relu`` 0 stands for the smallest value and saves a pass over the tensor.
    ``GlobalMaxPool`` gives the largest value per channel: unlike ``ReduceMax`` it runs in ONNX Runtime's blocked
    layout, without a copy.
    """
    producer = value.producer()
    name = topology.name_of(value)
    images = value.shape is not None and len(value.shape) == 4
    largest = _append(graph, value, "GlobalMaxPool" if images else "ReduceMax", f"{name}_largest")
    if producer is not None and topology.bounds(producer)[0] == 0:
        return (largest,)
    return largest, _append(graph, value, "ReduceMin", f"{name}_smallest")


def _append(graph: ir.Graph, value: ir.Value, operator: str, name: str) -> str:
    attributes = [] if operator == "GlobalMaxPool" else [ir.AttrInt64("keepdims", 0)]
    out = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
    graph.append(ir.Node("", operator, [value], attributes, outputs=[out], name=f"{name}_{operator}"))
    graph.outputs.append(out)
    return name
