"""The stages that follow a recipe, once per target: ``calibrate`` and ``quantize``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from depthdeploy.core.findings import StepRecord
from depthdeploy.core.model import LegalModel, QuantizedModel
from depthdeploy.core.progress import Progress
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.support import FallbackLimit
from depthdeploy.errors import CalibrationError
from depthdeploy.graph.handover import lowered
from depthdeploy.graph.support import require_support
from depthdeploy.graph_file import read_graph
from depthdeploy.pipeline.approach import Approach
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.model_stages import versions_of
from depthdeploy.pipeline.photographs import CalibrationStream, Photographs
from depthdeploy.pipeline.run import Run
from depthdeploy.pipeline.shelf import StoredSteps
from depthdeploy.quantization import algorithms, engine
from depthdeploy.quantization.engine import Calibrated
from depthdeploy.quantization.workbench import Deadline, Workbench


def scheme_of(goal: Destination, approach: Approach) -> Scheme:
    """A quantized target's number formats, with the recipe's bits of weights.

    Raises:
        CalibrationError: the target's precision is float.
    """
    if goal.scheme is None:
        raise CalibrationError(f"{goal} has no number formats.", "Choose a quantized precision.")
    return engine.narrowed(goal.scheme, approach.recipe)


def calibrate(
    run: Run, legal: LegalModel, photographs: Photographs, goal: Destination, approach: Approach
) -> Calibrated:
    """The recipe's preparations, and the ranges of the prepared graph's activations; shared by equal graphs.

    Raises:
        UnsupportedGraph: the target refuses the prepared graph.
    """
    chosen, recipe = photographs.calibration, approach.recipe
    bench = _bench(legal, photographs, goal, approach)

    def make(folder: Path, progress: Progress) -> Calibrated:
        own = replace(bench, folder=folder, progress=progress)
        return engine.calibrate(legal.model, recipe, own, StoredSteps(run.store))

    def describe(calibrated: Calibrated) -> tuple[None, str]:
        statistics = calibrated.statistics
        figures = f"{len(statistics.ranges)} ranges by {statistics.observer}"
        seen = f"{figures} over {statistics.images} photographs of {chosen.photoset.name}"
        return None, f"{_names(calibrated.steps)}{seen}"

    depends = (engine.calibration_inputs(legal.model, recipe, bench), versions_of("onnxruntime", "pillow", "onnx-ir"))
    calibrated = run.stage("calibrate", Calibrated, depends=depends, make=make, describe=describe)
    if calibrated.model.sha256 != legal.model.sha256:  # it may have been prepared for another target
        _require_legal(legal, calibrated, goal)
    return calibrated


def _require_legal(legal: LegalModel, calibrated: Calibrated, goal: Destination) -> None:
    """Preparations may not have made operators that the target refuses."""
    prepared = lowered(read_graph(calibrated.model.path), goal.target.capabilities.opsets(legal.variant)[1])
    nodes = FallbackLimit(nodes=legal.support.fallback_nodes)
    require_support(prepared.graph, goal.target.capabilities, legal.variant, nodes)


def quantize(
    run: Run,
    legal: LegalModel,
    calibrated: Calibrated,
    photographs: Photographs,
    *,
    goal: Destination,
    approach: Approach,
) -> QuantizedModel:
    """The Q/DQ graph under the target's number formats, refined as the recipe says."""
    recipe = approach.recipe
    bench = _bench(legal, photographs, goal, approach)

    def make(folder: Path, progress: Progress) -> QuantizedModel:
        own = replace(bench, folder=folder, progress=progress, deadline=Deadline.within(approach.budget))
        quantized = engine.finish(legal, calibrated, recipe, own, StoredSteps(run.store, approach.budget))
        (folder / "plan.txt").write_text(f"{quantized.plan}\n", encoding="utf-8")
        return quantized

    def describe(quantized: QuantizedModel) -> tuple[int, str]:
        plan = quantized.plan
        counts = f"{len(plan.activations)} activations, {len(plan.weights)} weights" if plan else ""
        floats = f", {len(plan.floats)} nodes stay float" if plan and plan.floats else ""
        steps = _names(quantized.findings.steps[len(calibrated.steps) :])
        return quantized.model.path.stat().st_size, f"{steps}{bench.scheme.weights} weights; {counts}{floats}"

    depends = (
        (legal.target, legal.variant),
        engine.refinement_inputs(calibrated, recipe, bench),
        approach.budget if algorithms.timed(recipe) else None,
        versions_of("onnx-ir", "onnxruntime", *(("torch",) if algorithms.learns(recipe) else ())),
    )
    return run.stage("quantize", QuantizedModel, depends=depends, make=make, describe=describe)


def _bench(legal: LegalModel, photographs: Photographs, goal: Destination, approach: Approach) -> Workbench:
    return Workbench(
        reference=legal.model,
        scheme=scheme_of(goal, approach),
        photographs=CalibrationStream(photographs.calibration, legal.model.contract),
        folder=Path(),
        seed=approach.seed,
        device=approach.device,
        limits=approach.limits,
    )


def _names(steps: Iterable[StepRecord]) -> str:
    """Which algorithms ran, for the line of their stage; what each did is in the findings."""
    names = ", ".join(record.step.partition("(")[0] for record in steps)
    return f"{names}; " if names else ""
