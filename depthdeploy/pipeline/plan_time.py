"""How long ``compile`` would take on this machine: an estimate from how long the FP32 network takes."""

from __future__ import annotations

import onnx_ir as ir

from depthdeploy import registry
from depthdeploy.core.machine import runs_here
from depthdeploy.core.performance import Performance
from depthdeploy.core.recipe import Recipe
from depthdeploy.core.target import TimedTarget
from depthdeploy.errors import DepthdeployError, ModelError
from depthdeploy.estimate import estimate
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.photographs import Photographs
from depthdeploy.quantization import algorithms

#: Passes over the photographs that the exact emulation of Q/DQ nodes costs, against one in FP32.
_EMULATED = 2.5
#: Inferences of the timed runs, both networks, and of the proofs of parity.
_BESIDE = 120


def inference_time(graph: ir.Model) -> float | None:
    """Milliseconds of one FP32 inference on this machine, as an estimate; ``None`` when nothing is known of it."""
    host = _host_performance()
    try:
        return None if host is None else estimate(graph, host, "fp32").ms
    except ModelError:  # a shape is not static, which is refused by name
        return None


def compile_time(ms: float | None, goal: Destination, recipe: Recipe, photographs: Photographs | None) -> str:
    """The time in words, with what it rests on; what learns is bounded by ``--time-budget`` alone.

    Args:
        ms: of one FP32 inference here.
        goal: where the network would go.
        recipe: how it would be quantized.
        photographs: what would calibrate and evaluate.
    """
    if photographs is None or ms is None:
        return "not estimated"
    inferences = _inferences(goal, recipe, photographs)
    learning = goal.scheme is not None and algorithms.learns(recipe)
    beside = "; learning besides, as long as --time-budget allows" if learning else ""
    counted = f"{inferences:,.0f} passes of the FP32 network at {ms:.3g} ms"
    return f"about {_rounded(inferences * ms / 1e3)} s after export ({counted}{beside})"


def _inferences(goal: Destination, recipe: Recipe, photographs: Photographs) -> float:
    evaluated = sum(len(chosen.selection.photos) for chosen in photographs.evaluations)
    if goal.scheme is None:
        return 2 * evaluated + _BESIDE
    calibrated = len(photographs.calibration.selection.photos)
    passes = 1 + len(recipe.prepare) + sum(not algorithms.REFINEMENTS[step.algorithm].timed for step in recipe.refine)
    return passes * calibrated + (2 + _EMULATED) * evaluated + _BESIDE


def _rounded(seconds: float) -> str:
    return f"{max(1.0, float(f'{seconds:.1g}')):.0f}"


def _host_performance() -> Performance | None:
    """The speed of this machine: of a target that runs here in FP32."""
    for name in registry.targets:
        try:
            target = registry.targets[name]
            variant = target.default_variant() if isinstance(target, TimedTarget) else ""
        except DepthdeployError:  # a plug-in that does not load, or a processor that does not tell its features
            continue
        if variant and isinstance(target, TimedTarget) and runs_here(target.capabilities, variant):
            found = target.performance.get(variant)
            if found is not None and "fp32" in found.peaks:
                return found
    return None
