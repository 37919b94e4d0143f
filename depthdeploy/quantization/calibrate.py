"""Calibration: one streaming pass of the legal graph over photographs, which gives the range of every activation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.progress import Progress, silent
from depthdeploy.core.quant import Statistics, TensorRange
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.observers import Observer
from depthdeploy.quantization.taps import Outlets, Taps, tapped

Array = NDArray[np.float32]


def activation_tensors(model: OnnxModel | ir.Model) -> tuple[str, ...]:
    """Every activation that could need a grid under any scheme, in the graph's order.

    Left out are tensors inside a unit that integer kernels compute at once, and tensors that only hold the values of
    another one: targets with equal legal graphs share the statistics, whatever their schemes.

    Raises:
        ModelError: the graph cannot be read.
    """
    graph = topology.load(model).graph
    inside = topology.absorbed(graph)
    names = [topology.name_of(value) for value in graph.inputs if topology.is_activation(value)]
    for node in topology.computing(graph):
        moves = topology.preserves(node) and node.op_type not in topology.SELECTING
        if node in inside or (moves and not any(value.is_graph_output() for value in node.outputs)):
            continue
        last = topology.unit(node)[-1]
        names.extend(topology.name_of(value) for value in last.outputs if topology.is_activation(value))
    return tuple(dict.fromkeys(names))


def observe(
    model: OnnxModel,
    tensors: Iterable[NDArray[np.generic]],
    *,
    observer: Observer,
    calibration_digest: str,
    images: int,
    progress: Progress = silent,
) -> Statistics:
    """Run the graph once over the photographs and gather the range of every activation.

    Photographs are run side by side, one thread each, and folded in their order: the result does not depend on timing,
    and memory does not depend on their number.

    Args:
        model: the legal graph.
        tensors: one input tensor per photograph, shaped as the graph's input; read once, as they are needed.
        observer: how ranges are chosen.
        calibration_digest: the digest of the calibration set, kept in the result.
        images: how many photographs there are, for the progress.
        progress: told after every photograph.

    Raises:
        QuantizationError: an activation is NaN or infinite; the message names the tensor and the photograph.
        CalibrationError: there is no photograph, or not as many as were announced.
        ModelError: ONNX Runtime refuses the graph.
    """
    names = activation_tensors(model)
    states = {name: observer.start() for name in names}
    seen = 0
    with tapped(model, names, extremes=observer.extremes_suffice) as taps:
        for photo in _runs(taps, tensors):
            for name, values in photo.values.items():
                if not np.all(np.isfinite(values)):
                    raise _not_finite(model, names, photo)
                states[name].update(values)
            if photo.complete:
                seen += 1
                progress(seen, images)
    if seen == 0 or seen != images:
        raise CalibrationError(
            f"{seen} photographs were read where {images} were announced.", "Calibrate with at least one photograph."
        )
    ranges = {name: TensorRange(name, *state.range(), seen) for name, state in states.items()}
    return Statistics(observer.name, ranges, seen, calibration_digest)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The tapped values of one photograph, or of one round of it."""

    index: int
    tensor: NDArray[np.generic]
    values: Mapping[str, Array]
    complete: bool


def _runs(taps: Taps, tensors: Iterable[NDArray[np.generic]]) -> Iterator[_Reading]:
    """The readings in order; at most one run more than there are workers is in flight."""

    def read(index: int, tensor: NDArray[np.generic], outlets: Outlets) -> _Reading:
        return _Reading(index, tensor, taps.read(tensor, outlets), outlets is taps.rounds[-1])

    pending: deque[Future[_Reading]] = deque()
    with ThreadPoolExecutor(taps.workers) as pool:
        try:
            for index, tensor in enumerate(tensors):
                for outlets in taps.rounds:
                    pending.append(pool.submit(read, index, tensor, outlets))
                    if len(pending) > taps.workers:
                        yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _not_finite(model: OnnxModel, names: tuple[str, ...], photo: _Reading) -> QuantizationError:
    """The error that names the first tensor of the graph that is not finite on a photograph."""
    with tapped(model, names, extremes=False) as taps:
        for outlets in taps.rounds:
            for name, values in taps.read(photo.tensor, outlets).items():
                if not np.all(np.isfinite(values)):
                    return QuantizationError(
                        f"The activation {name} is NaN or infinite on photograph {photo.index} of the calibration set.",
                        "Look at the network's FP32 prediction for this photograph, or leave it out.",
                    )
    return QuantizationError(f"An activation is infinite on photograph {photo.index} of the calibration set.")
