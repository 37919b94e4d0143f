"""What each layer's quantization alone does to a network's output.

The layers are visited in order. The float activations that live at a layer's end are kept for every photograph and
brought forward from layer to layer, so that a layer costs one run of the layers behind it and no more. Noise powers
of single layers add up to that of the whole network, roughly (Lin et al. 2016, "Fixed Point Quantization of Deep
Convolutional Networks"): for three depth networks the sum was 0.1, 1.2 and 2.9 dB off, since errors of weights shift
means and do not cancel. This is enough for a ranking; what a plan loses is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.fidelity import similarity
from depthdeploy.core.grid import Grid
from depthdeploy.core.progress import Progress, silent
from depthdeploy.core.quant import QuantPlan
from depthdeploy.inference import OnnxSession
from depthdeploy.operations import macs_of
from depthdeploy.quantization import topology
from depthdeploy.quantization.strip import Array, Strip, fed

#: The tensors that live at a cut, of one photograph.
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A node that a plan puts on grids.

    Attributes:
        node: its label; the tensor's name for the graph's input.
        operator: its ONNX operator, ``Input`` for the graph's input.
        output: the tensor behind its unit.
        end: where the strip is cut behind its unit.
        weight: the initializer and its grid; ``None`` without one.
        grid: of the output; ``None`` where the plan has none.
        macs: multiply-accumulate operations.
    """

    node: str
    operator: str
    output: str
    end: int
    weight: tuple[str, Grid] | None
    grid: Grid | None
    macs: int


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """What one layer's quantization does to the network's output, all other layers in float.

    Attributes:
        layer: the layer.
        sqnr_db: mean over photographs.
        cosine: mean over photographs.
        power: noise power over signal power, mean over photographs.
        weight_share: which part of the noise at the layer's own output its weight makes, 0..1.
    """

    layer: Layer
    sqnr_db: float
    cosine: float
    power: float
    weight_share: float


def layers(strip: Strip, plan: QuantPlan) -> tuple[Layer, ...]:
    """The layers of a plan in the strip's order: nodes with a weight on a grid or new values on one.

    Nodes that move integers from one place to another make no noise of their own and are left out.
    """
    grids = {line.tensor: line.grid for line in plan.activations}
    weights = {line.node: (line.tensor, line.grid) for line in plan.weights}
    found = [
        Layer(topology.name_of(value), "Input", topology.name_of(value), 0, None, grids[topology.name_of(value)], 0)
        for value in strip.graph.inputs
        if value.name in grids
    ]
    places = {node: index for index, node in enumerate(strip.nodes)}
    absorbed = topology.absorbed(strip.graph)
    for node in strip.nodes:
        if node in absorbed or (topology.preserves(node) and not _averages(node)):
            continue
        last = topology.unit(node)[-1]
        output, label = topology.name_of(last.outputs[0]), topology.label(node)
        alive = output in strip.frontier(places[last] + 1)
        if alive and (label in weights or output in grids):
            grid, operator = grids.get(output), topology.operator(node)
            found.append(Layer(label, operator, output, places[last] + 1, weights.get(label), grid, macs_of(node)))
    return tuple(found)


def _averages(node: ir.Node) -> bool:
    """A resize that gives values between those of its input: on a grid they are rounded anew."""
    mode = node.attributes.get("mode")
    return node.op_type == "Resize" and mode is not None and mode.as_string() != "nearest"


def rounded(array: Array, grid: Grid) -> NDArray[np.float32]:
    """Values onto a grid and back."""
    values = np.asarray(array, dtype=np.float32)
    return grid.dequantize(grid.quantize(values))


def layer_noises(
    strip: Strip, plan: QuantPlan, photographs: Sequence[NDArray[np.float32]], progress: Progress = silent
) -> tuple[LayerNoise, ...]:
    """Quantize one layer after the other and look at the network's output.

    Args:
        strip: the float graph.
        plan: its grids.
        photographs: input tensors.
        progress: told after every layer.

    Raises:
        ModelError: ONNX Runtime refuses a part of the graph.
    """
    every = layers(strip, plan)
    out = topology.name_of(strip.graph.outputs[0])
    alive: list[Tensors] = [{topology.name_of(strip.graph.inputs[0]): photo} for photo in photographs]
    whole = strip.session(0, len(strip.nodes), [out])
    expected = [fed(whole, tensors, [out])[out] for tensors in alive]
    apart = max(1, math.isqrt(len(every)))
    rest = _Rest(strip, out, [*(layer.end for layer in every[apart::apart]), len(strip.nodes)])
    found: list[LayerNoise] = []
    position = 0
    for layer in every:
        shaken = _with_rounded_weight(strip, layer, position, alive)
        alive = _advanced(strip, position, layer.end, alive)
        position = layer.end
        calm = [tensors[layer.output] for tensors in alive]
        noisy = [array if layer.grid is None else rounded(array, layer.grid) for array in shaken or calm]
        predictions = rest.predictions(layer, [{**t, layer.output: n} for t, n in zip(alive, noisy, strict=True)])
        found.append(_described(layer, predictions, expected, _weight_share(layer, calm, shaken)))
        progress(len(found), len(every))
    return tuple(found)


def _with_rounded_weight(strip: Strip, layer: Layer, start: int, alive: Sequence[Tensors]) -> list[Array]:
    """The layer's output with its weight on the grid, per photograph; empty without a weight."""
    if layer.weight is None:
        return []
    name, grid = layer.weight
    weight = np.asarray(topology.constant(strip.graph.initializers[name]), dtype=np.float32)
    session = strip.session(start, layer.end, [layer.output], {name: rounded(weight, grid)})
    return [fed(session, tensors, [layer.output])[layer.output] for tensors in alive]


def _advanced(strip: Strip, start: int, stop: int, alive: Sequence[Tensors]) -> list[Tensors]:
    """What lives at a cut, from what lived at an earlier one."""
    names = strip.frontier(stop)
    made = {value.name for node in strip.nodes[start:stop] for value in node.outputs}
    wanted = [name for name in names if name in made]
    if not wanted:
        return [{name: tensors[name] for name in names} for tensors in alive]
    session = strip.session(start, stop, wanted)
    moved = ({**tensors, **fed(session, tensors, wanted)} for tensors in alive)
    return [{name: tensors[name] for name in names} for tensors in moved]


@dataclass(slots=True)
class _Rest:
    """The network behind a layer, in two hops: to the next of a few stations, and from there to the end.

    All layers before a station share the session behind it, which holds most of the weights; without stations the
    building of sessions would take longer than their runs.
    """

    strip: Strip
    out: str
    stations: Sequence[int]
    station: int = -1
    behind: OnnxSession | None = None

    def predictions(self, layer: Layer, alive: Sequence[Tensors]) -> list[Array]:
        """The network's output from what lives at a layer's end, per photograph."""
        if layer.output == self.out:
            return [tensors[self.out] for tensors in alive]
        station = min(place for place in self.stations if place >= layer.end)
        if station != self.station:
            last = len(self.strip.nodes)
            self.behind = self.strip.session(station, last, [self.out]) if station < last else None
            self.station = station
        arrived = _advanced(self.strip, layer.end, station, alive)
        if self.behind is None:
            return [tensors[self.out] for tensors in arrived]
        return [fed(self.behind, tensors, [self.out])[self.out] for tensors in arrived]


def _weight_share(layer: Layer, calm: Sequence[Array], shaken: Sequence[Array]) -> float:
    if layer.grid is None or not shaken:
        return float(bool(shaken))
    weight = sum(_power(s, c) for s, c in zip(shaken, calm, strict=True))
    grid = sum(_power(rounded(c, layer.grid), c) for c in calm)
    return weight / (weight + grid) if weight + grid > 0 else 0.0


def _power(found: Array, expected: Array) -> float:
    difference = np.asarray(found, dtype=np.float64) - np.asarray(expected, dtype=np.float64)
    return float(np.mean(difference**2))


def _described(
    layer: Layer, predictions: Sequence[Array], expected: Sequence[Array], weight_share: float
) -> LayerNoise:
    pairs = [
        similarity(np.asarray(p, dtype=np.float32), np.asarray(e, dtype=np.float32))
        for p, e in zip(predictions, expected, strict=True)
    ]
    decibels, cosines = (np.array(column) for column in zip(*pairs, strict=True))
    power = float(np.mean(10.0 ** (-decibels / 10)))
    return LayerNoise(layer, float(decibels.mean()), float(cosines.mean()), power, weight_share)
