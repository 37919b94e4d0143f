"""What every channel of an activation holds: extremes and moments, gathered photograph by photograph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.inference import OnnxSession, threads
from depthdeploy.quantization import topology
from depthdeploy.quantization.side_by_side import in_order

Vector = NDArray[np.float64]

#: Photographs that run side by side at most: beyond, little time is gained and memory is lost.
_MOST_WORKERS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ChannelStatistics:
    """What the channels of one activation tensor hold over the calibration photographs; every array is ``[channels]``.

    Attributes:
        tensor: its name.
        low: the smallest value of every channel. Behind a ``Relu`` or ``Clip`` from 0 it is 0, which no value is below.
        high: the largest value of every channel.
        mean: the mean over positions and photographs.
        mean_square: the mean of the squares over positions and photographs.
        images: how many photographs were seen.
    """

    tensor: str
    low: Vector
    high: Vector
    mean: Vector
    mean_square: Vector
    images: int

    @property
    def variance(self) -> Vector:
        """Of the values of every channel, not negative."""
        return np.maximum(self.mean_square - self.mean**2, 0.0)

    @property
    def magnitude(self) -> Vector:
        """The largest absolute value of every channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def observe_channels(
    model: OnnxModel, tensors: Iterable[NDArray[np.generic]], names: Sequence[str]
) -> Mapping[str, ChannelStatistics]:
    """Run the graph over photographs and gather the extremes and moments of the channels of chosen activations.

    Channels are axis 1 of a tensor ``[N, C, H, W]`` and the last axis of any other (``[N, tokens, channels]``). The
    graph itself reduces every tensor, in float32, while it is in the cache; over photographs, sums are float64. Memory
    does not depend on the number of photographs, and the result does not depend on timing.

    Args:
        model: the graph.
        tensors: one input tensor per photograph, shaped as the graph's input; read once, as they are needed.
        names: the activations, the graph's input and output among them or not.

    Raises:
        QuantizationError: the graph has no such activation, or one is NaN or infinite on a photograph; both are named.
        CalibrationError: there is no photograph.
        ModelError: ONNX Runtime refuses the graph.
    """
    wanted = tuple(dict.fromkeys(names))
    states: dict[str, _Moments] = {}
    with tempfile.TemporaryDirectory(prefix="depthdeploy-") as folder:
        path = Path(folder) / "reduced.onnx"
        reduced = _reduced(model, wanted, path)
        workers = min(threads(), _MOST_WORKERS)
        session = OnnxSession(path, intra_threads=max(1, threads() // workers))

        def read(photo: NDArray[np.generic]) -> dict[str, _Moments]:
            outputs = [output for parts in reduced.values() for output in parts]
            arrays = dict(zip(outputs, session.run(photo, outputs), strict=True)) if outputs else {}
            return {name: _moments(name, photo, arrays, reduced) for name in wanted}

        for index, found in enumerate(in_order(read, tensors, workers=workers)):
            for name, moments in found.items():
                if not moments.finite():
                    raise QuantizationError(
                        f"The activation {name} is NaN or infinite on photograph {index} of the calibration set.",
                        "Look at the network's FP32 prediction for this photograph, or leave it out.",
                    )
                states[name] = moments if name not in states else states[name].joined(moments)
    if wanted and not states:
        raise CalibrationError("No photograph was read.", "Calibrate with at least one photograph.")
    return {name: state.statistics(name) for name, state in states.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """The sums of some photographs."""

    low: Vector
    high: Vector
    means: Vector
    squares: Vector
    images: int = 1

    def finite(self) -> bool:
        return all(bool(np.all(np.isfinite(part))) for part in (self.low, self.high, self.means, self.squares))

    def joined(self, other: _Moments) -> _Moments:
        return _Moments(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.means + other.means,
            self.squares + other.squares,
            self.images + other.images,
        )

    def statistics(self, tensor: str) -> ChannelStatistics:
        mean, square = self.means / self.images, self.squares / self.images
        return ChannelStatistics(tensor, self.low, self.high, mean, square, self.images)


def _moments(
    name: str,
    photo: NDArray[np.generic],
    arrays: Mapping[str, NDArray[np.generic]],
    reduced: Mapping[str, tuple[str, ...]],
) -> _Moments:
    """Of one photograph: from what the graph reduced, or from the whole tensor where it reduced nothing."""
    outputs = reduced.get(name)
    if outputs is None or len(outputs) == 1:
        return _of_array(photo if outputs is None else arrays[outputs[0]])
    high, mean, square = (np.asarray(arrays[out], np.float64).reshape(arrays[out].shape[:2]) for out in outputs[:3])
    floored = len(outputs) == 3
    low = np.zeros_like(high) if floored else -np.asarray(arrays[outputs[3]], np.float64).reshape(high.shape)
    return _Moments(low.min(axis=0), high.max(axis=0), mean.mean(axis=0), square.mean(axis=0))


def _of_array(array: NDArray[np.generic]) -> _Moments:
    values = np.atleast_1d(np.asarray(array, dtype=np.float32))
    axis = 1 if values.ndim == 4 else values.ndim - 1
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    wide = rows.astype(np.float64)
    extremes = rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64)
    return _Moments(*extremes, wide.mean(axis=1), np.square(wide).mean(axis=1))


def _reduced(model: OnnxModel, names: Sequence[str], path: Path) -> dict[str, tuple[str, ...]]:
    """Write the graph with reductions of the named tensors as outputs: tensor -> its outputs.

    A tensor with one output is exposed whole; the graph's input is missing.
    """
    stored = topology.load(model)
    graph = stored.graph
    values = {value.name: value for node in graph for value in node.outputs}
    missing = [name for name in names if name not in values and name != model.input.name]
    if missing:
        raise QuantizationError(
            f"The graph has no activation {', '.join(missing[:5])}.", "Name activations of the graph that is observed."
        )
    outputs: dict[str, tuple[str, ...]] = {}
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        rank = None if value.shape is None else len(value.shape)
        if rank in (3, 4) and not value.is_graph_output():
            outputs[name] = _pooled(graph, value)
            continue
        outputs[name] = (name,)
        if not value.is_graph_output():
            value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
            graph.outputs.append(value)
    ir.save(stored, path, external_data=f"{path.name}.data")  # weights in a file of their own are not copied
    return outputs


def _pooled(graph: ir.Graph, value: ir.Value) -> tuple[str, ...]:
    """Outputs ``[N, C, ...]`` with the largest value, the mean, the mean square and, where needed, minus the smallest.

    Global pooling runs in ONNX Runtime's blocked layout, which reductions by axes do not: they would copy the tensor.
    """
    name = topology.name_of(value)

    def node(operator: str, suffix: str, *inputs: ir.Value, **attributes: list[int]) -> ir.Value:
        out = ir.Value(name=f"{name}_{suffix}", type=ir.TensorType(ir.DataType.FLOAT))
        kept = [ir.AttrInt64s(key, given) for key, given in attributes.items()]
        graph.append(ir.Node("", operator, inputs, kept, outputs=[out], name=f"{name}_{suffix}_{operator}"))
        return out

    channels_first = value
    if value.shape is not None and len(value.shape) == 3:
        channels_first = node("Transpose", "channels_first", value, perm=[0, 2, 1])
    square = node("Mul", "squared", channels_first, channels_first)
    found = [
        node("GlobalMaxPool", "channels_largest", channels_first),
        node("GlobalAveragePool", "channels_mean", channels_first),
        node("GlobalAveragePool", "channels_mean_square", square),
    ]
    producer = value.producer()
    if producer is None or topology.bounds(producer)[0] != 0:
        negated = node("Neg", "negated", channels_first)
        found.append(node("GlobalMaxPool", "channels_negated_largest", negated))
    graph.outputs.extend(found)
    return tuple(topology.name_of(out) for out in found)
