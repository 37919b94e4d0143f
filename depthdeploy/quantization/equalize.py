"""Equalization across layers: channels of an activation, and the weights around it, brought to like ranges.

One scale per tensor serves its largest channel and starves the others. A positive factor per channel, multiplied into
the layer before and divided out of the layer behind, changes nothing in float (Nagel et al. 2019, *Data-Free
Quantization Through Weight Equalization and Bias Correction*, section 4.1) and everything on a grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.graph_file import write_graph
from depthdeploy.quantization import topology
from depthdeploy.quantization.channel_groups import ChannelGroup, channel_groups
from depthdeploy.quantization.channel_noise import GroupNoise, by_input, by_output, over_inputs, over_outputs, weight_of
from depthdeploy.quantization.channels import ChannelStatistics, observe_channels
from depthdeploy.quantization.placement import place, source
from depthdeploy.quantization.projections import replace_constant
from depthdeploy.quantization.workbench import Prepared, Workbench

Vector = NDArray[np.float64]

#: Exponents of the inverse channel range that are tried: 0 leaves a group, 1 makes all its channels reach alike.
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

#: How many standard deviations a channel is expected to reach.
_DEVIATIONS = 3.0

#: The largest factor: a channel that is 0 on every photograph has no range to be brought to.
_MOST = 2.0**10


@dataclass(frozen=True, slots=True)
class Equalize:
    """Choose a factor for every channel that can have one.

    Attributes:
        rule: ``noise`` chooses by the noise that the observed ranges and weights leave under the scheme, and needs
            photographs; ``weights`` makes the weights before and behind reach alike, ``s_c = sqrt(r2_c / r1_c)`` (Nagel
            et al. 2019, eq. 11), and needs none.
        clips: what happens to ``Clip(0, b)``, such as ReLU6. ``saturate`` leaves the node and factors of 1 and more: a
            channel is then cut at ``b / s`` in place of ``b``, which is above all that was observed of it by
            ``margin``, as a grid per channel would cut it; the function is the same wherever it is not cut.
            ``per-channel`` is exact: ``Relu`` and a ``Min`` with ``b s`` per channel, for schemes that have an integer
            ``Min``. ``keep`` leaves such tensors alone.
        margin: how far above a channel's observed range ``saturate`` keeps the cut.
        images: how many photographs are observed.
    """

    rule: Literal["noise", "weights"] = "noise"
    clips: Literal["saturate", "per-channel", "keep"] = "saturate"
    margin: float = 1.3
    images: int = 48

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        """Scale the channels of every group that gains.

        Raises:
            QuantizationError: an activation is NaN or infinite.
            CalibrationError: there is no photograph.
        """
        stored = topology.load(model)
        groups = self._groups(stored.graph, bench)
        factors = self._by_weights(groups) if self.rule == "weights" else self._by_noise(stored, groups, model, bench)
        changed = [(group, chosen) for group, chosen in zip(groups, factors, strict=True) if np.any(chosen != 1)]
        for group, chosen in changed:
            self._scale(stored.graph, group, chosen)
        detail = f"{len(changed)} of {len(groups)} channel groups scaled"
        if not changed:
            return Prepared(model, detail)
        out = bench.folder / "equalized.onnx"
        return Prepared(replace(model, path=out, sha256=write_graph(stored, out)), detail)

    def _groups(self, graph: ir.Graph, bench: Workbench) -> list[ChannelGroup]:
        integer_min = "Min" in bench.scheme.operators
        kept = self.clips == "keep" or (self.clips == "per-channel" and not integer_min)
        return [group for group in channel_groups(graph) if not (group.clips and kept)]

    def _by_weights(self, groups: Sequence[ChannelGroup]) -> list[Vector]:
        return [self._bounded(group, _weight_factors(group), None) for group in groups]

    def _by_noise(
        self, stored: ir.Model, groups: Sequence[ChannelGroup], model: OnnxModel, bench: Workbench
    ) -> list[Vector]:
        on_grids = {topology.name_of(value) for value in place(stored.graph, bench.scheme).tensors}
        named = [[name for value in group.tensors if (name := topology.name_of(value)) in on_grids] for group in groups]
        read = [topology.name_of(_input(node)) for group in groups for node in group.writers]
        wanted = [*(name for names in named for name in names), *read]
        if not wanted:
            return [np.ones(group.channels) for group in groups]
        observed = observe_channels(model, bench.photographs.first(self.images), wanted)
        factors = []
        for done, (group, names) in enumerate(zip(groups, named, strict=True)):
            factors.append(self._quietest(group, names, observed, bench) if names else np.ones(group.channels))
            bench.progress(done + 1, len(groups))
        return factors

    def _quietest(
        self, group: ChannelGroup, names: Sequence[str], observed: Mapping[str, ChannelStatistics], bench: Workbench
    ) -> Vector:
        """The factors of the strength that leaves the least noise."""
        noise = GroupNoise.of(group.readers, names, observed, bench.scheme, group.ceiling)
        likely = _likely_range(group, observed)
        ranges = [np.maximum(one.magnitude, likely) for one in noise.tensors]
        magnitude = np.max(ranges, axis=0)
        reach = np.max([one / max(one.max(), 1e-30) for one in ranges], axis=0)
        inverse = 1.0 / np.maximum(reach, 1.0 / _MOST)
        tried = [self._bounded(group, inverse**strength, magnitude) for strength in _STRENGTHS]
        return min(tried, key=noise)

    def _bounded(self, group: ChannelGroup, factors: Vector, magnitude: Vector | None) -> Vector:
        """Factors under which a kept ``Clip`` cuts nothing that was observed."""
        if self.clips != "saturate" or not group.clips:
            return factors
        if magnitude is None:  # nothing was observed: no channel may be cut lower than before
            return np.ones_like(factors)
        room = group.ceiling / np.maximum(self.margin * magnitude, 1e-30)
        return np.maximum(np.minimum(factors, room), 1.0)

    def _scale(self, graph: ir.Graph, group: ChannelGroup, factors: Vector) -> None:
        for node in group.writers:
            replace_constant(node, 1, weight_of(node) * over_outputs(node, factors))
            if len(node.inputs) > 2 and node.inputs[2] is not None:
                replace_constant(node, 2, np.asarray(topology.constant(node.inputs[2]), np.float64) * factors)
        for node in group.readers:
            replace_constant(node, 1, weight_of(node) / over_inputs(node, factors))
        if self.clips == "per-channel":
            for clip in group.clips:
                _clip_by_channel(graph, clip, factors)


def _input(node: ir.Node) -> ir.Value:
    """The tensor that a layer reads, before any padding."""
    first = node.inputs[0]
    assert first is not None
    return source(first)


def _likely_range(group: ChannelGroup, observed: Mapping[str, ChannelStatistics]) -> Vector:
    """What a channel may reach on photographs that were not observed, ``[channels]``.

    ``Relu`` keeps some channels at 0 on all of a few photographs; on others they are as large as the rest. Before it, a
    channel varies by ``sqrt(sum w^2 var x)`` if the layer's inputs are independent, whatever its mean.
    """
    deviation = np.zeros(group.channels)
    for node in group.writers:
        variance = observed[topology.name_of(_input(node))].variance
        weighed = weight_of(node) ** 2 * over_inputs(node, variance)
        deviation = np.maximum(deviation, np.sqrt(by_output(node, weighed)))
    return _DEVIATIONS * deviation


def _weight_factors(group: ChannelGroup) -> Vector:
    """Equal largest weights before and behind, ``[channels]``."""
    before, behind = np.zeros(group.channels), np.zeros(group.channels)
    for node in group.writers:
        before = np.maximum(before, by_output(node, np.abs(weight_of(node)), np.maximum))
    for node in group.readers:
        behind = np.maximum(behind, by_input(node, np.abs(weight_of(node)), np.maximum))
    usable = (before > 0) & (behind > 0)
    factors = np.sqrt(np.divide(behind, before, out=np.ones_like(before), where=usable))
    return np.where(usable, np.clip(factors, 1 / _MOST, _MOST), 1.0)


def _clip_by_channel(graph: ir.Graph, clip: ir.Node, factors: Vector) -> None:
    """``Clip(0, b)`` of scaled channels, exactly: ``Relu``, then ``Min`` with ``b s``."""
    first, out = clip.inputs[0], clip.outputs[0]
    assert first is not None
    name = f"{topology.label(clip)}_ceilings"
    array = (topology.bounds(clip)[1] * factors).astype(np.float32).reshape(1, -1, 1, 1)
    ceilings = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.FLOAT),
        const_value=ir.Tensor(array, name=name),
    )
    graph.register_initializer(ceilings)
    floored = ir.Value(name=f"{topology.name_of(out)}_floored", shape=out.shape, type=out.type)
    relu = ir.Node("", "Relu", [first], outputs=[floored], name=f"{topology.label(clip)}_Relu")
    least = ir.Node("", "Min", [floored, ceilings], name=f"{topology.label(clip)}_Min")
    graph.insert_before(clip, [relu, least])
    result = least.outputs[0]
    result.shape, result.type = out.shape, out.type
    for use in tuple(out.uses()):
        use.node.replace_input_with(use.idx, result)
    name = topology.name_of(out)
    graph.remove(clip)
    result.name = name
