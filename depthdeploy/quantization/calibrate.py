"""Calibration: one streaming pass of the legal graph over photographs, which gives the range of every activation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import NumberFormat
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.progress import Progress, silent
from depthdeploy.core.quant import Statistics, TensorRange
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.distance import layers_behind
from depthdeploy.quantization.observers import Extremes, MinMax, Observer, UsualMinMax
from depthdeploy.quantization.outlets import Outlets
from depthdeploy.quantization.pixels import pixel_ranges
from depthdeploy.quantization.side_by_side import in_order
from depthdeploy.quantization.taps import Sample, Taps, tapped

#: Layers with weights at the end of a network whose inputs and outputs are not clipped.
UNCLIPPED = 2


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
    number_format: NumberFormat | None = None,
    unclipped: int = UNCLIPPED,
    progress: Progress = silent,
) -> Statistics:
    """Run the graph once over the photographs and gather the range of every activation.

    Photographs are run side by side, one thread each, and folded in their order: the result does not depend on timing,
    and memory does not depend on their number. Observers that count values see every third row and column (token) of
    large tensors, and the exact extremes of all.

    Just before the output every observer gives way to min-max, but for exceptional photographs: no layer is left that
    would average what clipping takes from the largest depths. Of three depth networks one gains 6 dB SQNR by this, two
    lose less than 0.1 dB.

    Args:
        model: the legal graph.
        tensors: one input tensor per photograph, shaped as the graph's input; read once, as they are needed.
        observer: how ranges are chosen.
        calibration_digest: the digest of the calibration set, kept in the result.
        images: how many photographs there are, for the progress.
        number_format: how activations will be stored; observers that weigh rounding against clipping need it.
        unclipped: tensors with at most so many layers with weights behind them get these ranges; none if negative.
        progress: told after every photograph.

    Raises:
        QuantizationError: an activation is NaN or infinite; the message names the tensor and the photograph.
        CalibrationError: there is no photograph, or not as many as were announced.
        UsageError: the observer needs the number format and got none.
        ModelError: ONNX Runtime refuses the graph.
    """
    names, behind = _observed(model)
    last_layers = observer if isinstance(observer, MinMax) else UsualMinMax()
    rules = {name: last_layers if behind.get(name, unclipped + 1) <= unclipped else observer for name in names}
    states = {name: rule.start(number_format) for name, rule in rules.items()}
    spans = {name: Extremes() for name in names}
    seen = 0
    last: NDArray[np.generic] | None = None
    with tapped(model, names, extremes=observer.extremes_suffice) as taps:
        for photo in _runs(taps, tensors):
            for name, sample in photo.samples.items():
                if not sample.finite:
                    raise _not_finite(model, names, photo)
                states[name].update(sample.values, (sample.low, sample.high))
                spans[name].update(sample.values, (sample.least, sample.high))
            last = photo.tensor
            if photo.complete:
                seen += 1
                progress(seen, images)
    if last is None or seen != images:
        raise CalibrationError(
            f"{seen} photographs were read where {images} were announced.", "Calibrate with at least one photograph."
        )
    ranges = {name: TensorRange(name, *state.range(), seen) for name, state in states.items()}
    for name, (low, high) in pixel_ranges(model).items():
        if name in ranges:
            ranges[name] = TensorRange(name, low, high, seen)
    level = [name for name, span in spans.items() if span.range()[0] == span.range()[1]]
    ended = any(rule.name != observer.name for rule in rules.values())
    name = f"{observer.name}, usual-minmax at the output" if ended else observer.name
    return Statistics(name, ranges, seen, calibration_digest, _constant(model, level, last))


def _observed(model: OnnxModel) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """What is observed, and how many layers are behind it."""
    stored = topology.load(model)
    return activation_tensors(stored), layers_behind(stored.graph)


def require_enough(images: int, wanted: int, *, allowed: bool) -> None:
    """Insist on as many calibration photographs as a recipe is meant for.

    Args:
        images: how many there are.
        wanted: the fewest that are enough.
        allowed: the user wants to go on with fewer.

    Raises:
        CalibrationError: there are too few, or none at all.
    """
    if images < 1 or (images < wanted and not allowed):
        found = {0: "There is no calibration photograph", 1: "There is one calibration photograph"}.get(
            images, f"There are {images} calibration photographs"
        )
        raise CalibrationError(
            f"{found}, and {wanted} are enough.",
            "Add photographs of the scenes that the network will see, or allow fewer.",
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read on one photograph, or in one round of it."""

    index: int
    tensor: NDArray[np.generic]
    samples: Mapping[str, Sample]
    complete: bool


def _runs(taps: Taps, tensors: Iterable[NDArray[np.generic]]) -> Iterator[_Reading]:
    """The readings, in order."""

    def read(work: tuple[int, NDArray[np.generic], Outlets]) -> _Reading:
        index, tensor, outlets = work
        return _Reading(index, tensor, taps.read(tensor, outlets), outlets is taps.rounds[-1])

    work = ((index, tensor, outlets) for index, tensor in enumerate(tensors) for outlets in taps.rounds)
    return in_order(read, work, workers=taps.workers)


def _constant(model: OnnxModel, names: Sequence[str], photo: NDArray[np.generic]) -> tuple[str, ...]:
    """The tensors that are one value on a photograph, out of those that were one value wherever they were read."""
    if not names:
        return ()
    with tapped(model, names, extremes=False, whole=True) as taps:
        samples = {name: sample for outlets in taps.rounds for name, sample in taps.read(photo, outlets).items()}
    return tuple(name for name in names if samples[name].least == samples[name].high)


def _not_finite(model: OnnxModel, names: tuple[str, ...], photo: _Reading) -> QuantizationError:
    """The error that names the first tensor of the graph that is not finite on a photograph."""
    with tapped(model, names, extremes=False, whole=True) as taps:
        for outlets in taps.rounds:
            for name, sample in taps.read(photo.tensor, outlets).items():
                if not sample.finite:
                    return QuantizationError(
                        f"The activation {name} is NaN or infinite on photograph {photo.index} of the calibration set.",
                        "Look at the network's FP32 prediction for this photograph, or leave it out.",
                    )
    return QuantizationError(f"An activation is infinite on photograph {photo.index} of the calibration set.")
