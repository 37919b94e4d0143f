"""A roofline over layers: the time of an inference from published peaks and fitted constants (Williams et al. 2009)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from depthdeploy.core.latency import LatencyEstimate, LayerEstimate
from depthdeploy.core.performance import Performance, SlowRule
from depthdeploy.errors import UsageError
from depthdeploy.estimate.work import Work, works_of

_MIB = 2**20


def estimate(graph: ir.Model, performance: Performance, precision: str, *, concurrent: float = 1.0) -> LatencyEstimate:
    """How long one inference of a graph takes on a chip, as an *estimate* with an interval.

    A layer takes the longer of ``operations / attainable rate`` and ``bytes / attainable bandwidth``, and its
    overhead; an inference takes the sum of its layers, its overhead, and the loading of weights that do not fit.

    Args:
        graph: with static shapes; Q/DQ nodes cost nothing, ``precision`` says what the layers compute in.
        performance: of the chip.
        precision: one of ``performance.peaks``.
        concurrent: the share of the chip, its memory and its bandwidth that other work leaves, in ``(0, 1]``.

    Raises:
        UsageError: no peak is known for the precision, or the share is not in ``(0, 1]``.
        ModelError: a shape is not static.
    """
    return priced(works_of(graph, performance.fused), performance, precision, concurrent=concurrent)


def priced(
    works: Sequence[Work], performance: Performance, precision: str, *, concurrent: float = 1.0
) -> LatencyEstimate:
    """The estimate of layers that were taken from a graph with ``performance.fused`` before.

    Raises:
        UsageError: no peak is known for the precision, or the share is not in ``(0, 1]``.
    """
    _check(performance, precision, concurrent)
    layers = tuple(layer_time(work, performance, precision, concurrent) for work in works)
    reload_ms = _reload_ms(works, performance, precision, concurrent)
    working = sum(layer.ms for layer in layers)
    overhead = performance.constants.overhead_ms
    ms = (max(working, overhead) if performance.pipelined else working + overhead) + reload_ms
    factor = doubt(layers, performance)
    return LatencyEstimate(
        target=f"{performance.target}:{performance.variant}",
        title=performance.title,
        predicts=performance.predicts,
        precision=precision,
        concurrent=concurrent,
        layers=layers,
        overhead_ms=overhead,
        reload_ms=reload_ms,
        ms=ms,
        lower_ms=ms / factor,
        upper_ms=ms * factor,
        peak_gops=_peak_ops(performance, precision, concurrent) / 1e9,
        bandwidth_gb_per_s=performance.bandwidth_gb_per_s.value * concurrent,
        notes=(*_reasons(layers), *_reload_note(reload_ms), *performance.uncertain(precision)),
    )


def layer_time(work: Work, performance: Performance, precision: str, share: float) -> LayerEstimate:
    """One layer on a share of the chip."""
    rule = _slow(work, performance.rules)
    operations = float(2 * _padded(work, performance.granule.value) or work.steps)
    moved = _moved_bytes(work, performance, precision, share)
    constants = performance.constants
    rate = _peak_ops(performance, precision, share) * (
        rule.efficiency if rule else constants.efficiency.get(work.kind, 1.0)
    )
    bandwidth = performance.bandwidth_gb_per_s.value * 1e9 * constants.memory_efficiency * share
    return LayerEstimate(
        name=work.name,
        operator=work.operator,
        fused=work.fused,
        kind=work.kind,
        macs=work.macs,
        operations=float(2 * work.macs or work.steps),
        moved_bytes=moved,
        compute_ms=1e3 * operations / rate,
        memory_ms=1e3 * moved / bandwidth,
        overhead_ms=constants.layer_overhead_us / 1e3,
        slow=rule.reason if rule else "",
    )


def doubt(layers: Sequence[LayerEstimate], performance: Performance) -> float:
    """The factor of the interval.

    Three doubts are independent, so their logarithms add as squares: the error on figures that were left out, the
    chip's own where none was published for it, and constants that no figure of the family settles, by their share.
    """
    constants = performance.constants
    total = sum(layer.ms for layer in layers) or 1.0
    borrowed = sum(layer.ms / total * math.log(constants.borrowed.get(layer.kind, 1.0)) for layer in layers)
    return math.exp(math.hypot(math.log(constants.error), math.log(performance.doubt), borrowed))


def contexts(works: Sequence[Work], performance: Performance, precision: str, share: float = 1.0) -> int:
    """Pieces in which a network is laid out on a chip that holds whole networks; 1 on every other chip."""
    residence = performance.residence
    if residence is None or not works:
        return 1
    peak = performance.peaks[precision]
    held = sum(work.weights * peak.weight_bytes + work.buffered * peak.activation_bytes for work in works)
    by_memory = held / (residence.mib.value * _MIB * share)
    return math.ceil(max(by_memory, len(works) / (residence.layers.value * share)))


def _reload_ms(works: Sequence[Work], performance: Performance, precision: str, share: float) -> float:
    residence = performance.residence
    if residence is None or contexts(works, performance, precision, share) == 1:
        return 0.0
    return len(works) * residence.reload_us_per_layer.value / 1e3


def _moved_bytes(work: Work, performance: Performance, precision: str, share: float) -> int:
    """Weights unless the chip holds them, and activations unless the layer's fit on the chip together."""
    peak = performance.peaks[precision]
    weights = 0 if performance.residence else work.weights * peak.weight_bytes
    activations = (sum(work.reads) + work.writes) * peak.activation_bytes
    return weights + (activations if activations > performance.on_chip_mib.value * _MIB * share else 0)


def _padded(work: Work, granule: float) -> int:
    """Multiply-accumulate operations with both channel counts rounded up to what the array takes at once."""
    if work.channels is None:
        return work.macs
    taken, given = work.channels
    return int(work.macs * _up(taken, granule) * _up(given, granule) / (taken * given))


def _up(channels: int, granule: float) -> float:
    return math.ceil(channels / granule) * granule


def _peak_ops(performance: Performance, precision: str, share: float) -> float:
    return performance.peaks[precision].tops.value * 1e12 * performance.in_use.value * share


def _slow(work: Work, rules: Sequence[SlowRule]) -> SlowRule | None:
    for rule in rules:
        if rule.operator == work.operator and all(
            work.attributes.get(key) in values for key, values in rule.attributes.items()
        ):
            return rule
    return None


def _reasons(layers: Sequence[LayerEstimate]) -> tuple[str, ...]:
    found = dict.fromkeys(layer.slow for layer in layers if layer.slow)
    return tuple(f"{sum(layer.slow == reason for layer in layers)} layers: {reason}" for reason in found)


def _reload_note(reload_ms: float) -> tuple[str, ...]:
    if not reload_ms:
        return ()
    return (f"the network does not fit the chip at once: its parts are loaded in turn ({reload_ms:.1f} ms)",)


def _check(performance: Performance, precision: str, concurrent: float) -> None:
    if precision not in performance.peaks:
        raise UsageError(
            f"No peak rate is known for {precision} on {performance.target}:{performance.variant}.",
            f"Give one of {', '.join(performance.peaks)}.",
        )
    if not 0.0 < concurrent <= 1.0:
        raise UsageError(
            f"The share of the chip is {concurrent:g}.", "Give a number above 0 and up to 1: --concurrent 0.5."
        )
