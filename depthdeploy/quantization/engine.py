"""How a recipe becomes a quantized graph. Read this first of the room.

::

    legal graph -> prepare -> observe -> make_plan -> refine -> apply_plan -> Q/DQ graph
                  (recipe)   (observer)              (recipe)

Every step of a recipe is a function of frozen values. Its result goes on a shelf as soon as it is there, under
everything that it depends on, so that an interrupted recipe goes on with the step at which it stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from depthdeploy.core.findings import Findings, StepRecord
from depthdeploy.core.model import LegalModel, OnnxModel, QuantizedModel
from depthdeploy.core.quant import Statistics
from depthdeploy.core.recipe import Recipe
from depthdeploy.core.scheme import Scheme
from depthdeploy.memory import return_freed
from depthdeploy.quantization import algorithms
from depthdeploy.quantization.calibrate import observe, require_enough
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.steps import NoShelf, Shelf, prepare_once, preparing, refine_once, refining
from depthdeploy.quantization.workbench import Deadline, Draft, Workbench


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A prepared graph and the ranges of its activations.

    Attributes:
        model: the graph after the recipe's preparations.
        statistics: the ranges of its activations.
        steps: the preparations that were run.
    """

    model: OnnxModel
    statistics: Statistics
    steps: tuple[StepRecord, ...]


def quantize(
    legal: LegalModel, recipe: Recipe, bench: Workbench, shelf: Shelf | None = None, *, allow_few: bool = False
) -> QuantizedModel:
    """A recipe from end to end; the Q/DQ graph is ``model.onnx`` in the bench's folder.

    Args:
        legal: the graph that the target accepts whole.
        recipe: what to do.
        bench: the target's own number formats, the photographs, and a folder.
        shelf: where the results of steps lie; each is computed when there is none.
        allow_few: whether there may be fewer photographs than the recipe is meant for.

    Raises:
        CalibrationError: there are too few photographs.
        DepthdeployError: whatever a step raises.
    """
    require_enough(len(bench.photographs), recipe.images, allowed=allow_few)
    calibrated = calibrate(legal.model, recipe, bench, shelf)
    return finish(legal, calibrated, recipe, bench, shelf)


def calibrate(model: OnnxModel, recipe: Recipe, bench: Workbench, shelf: Shelf | None = None) -> Calibrated:
    """The recipe's preparations, then one pass over the photographs with its observer.

    Raises:
        QuantizationError: an activation is not finite, or a preparation cannot do its work.
        CalibrationError: there is no photograph.
    """
    prepared, steps = prepare(model, recipe, bench, shelf)
    statistics = observe(
        prepared,
        bench.photographs.first(),
        observer=parse_observer(recipe.observer),
        calibration_digest=bench.photographs.digest,
        images=len(bench.photographs),
        number_format=bench.scheme.activations,
        progress=bench.progress,
    )
    return_freed()
    return Calibrated(prepared, statistics, steps)


def finish(
    legal: LegalModel, calibrated: Calibrated, recipe: Recipe, bench: Workbench, shelf: Shelf | None = None
) -> QuantizedModel:
    """The plan of a calibrated graph, refined as the recipe says and applied.

    Raises:
        QuantizationError: the graph cannot be quantized under the scheme, or a refinement cannot do its work.
    """
    scheme = narrowed(bench.scheme, recipe)
    plan = make_plan(calibrated.model, calibrated.statistics, scheme)
    draft = Draft(calibrated.model, calibrated.statistics, plan, Findings(steps=calibrated.steps))
    refined = refine(draft, recipe, bench, shelf)
    quantized = apply_plan(replace(legal, model=refined.model), refined.plan, bench.folder / "model.onnx")
    return replace(quantized, recipe=recipe.name, findings=refined.findings)


def narrowed(scheme: Scheme, recipe: Recipe) -> Scheme:
    """The number formats with the recipe's bits of weights, where those are fewer than the target's own."""
    bits = recipe.weight_bits
    if bits is None or bits >= scheme.weights.bits:
        return scheme
    return replace(scheme, name=f"{scheme.name}-w{bits}", weights=replace(scheme.weights, bits=bits))


def prepare(
    model: OnnxModel, recipe: Recipe, bench: Workbench, shelf: Shelf | None = None
) -> tuple[OnnxModel, tuple[StepRecord, ...]]:
    """Run the recipe's preparations in their order.

    Returns:
        The graph, of the same function, and one record a step.
    """
    bench = replace(bench, scheme=narrowed(bench.scheme, recipe), deadline=Deadline())
    place = shelf or NoShelf(bench.folder)
    records: list[StepRecord] = []
    for step in recipe.prepare:
        done = prepare_once(model, step, bench, place)
        model = done.model
        records.append(done.record)
    return model, tuple(records)


def refine(draft: Draft, recipe: Recipe, bench: Workbench, shelf: Shelf | None = None) -> Draft:
    """Run the recipe's refinements in their order.

    What is left of the time budget is shared equally among the steps still to come that learn or search; the others
    have no deadline, so that their results do not depend on how fast the machine is.
    """
    bench = replace(bench, scheme=narrowed(bench.scheme, recipe))
    place = shelf or NoShelf(bench.folder)
    waiting = sum(algorithms.REFINEMENTS[step.algorithm].timed for step in recipe.refine)
    for step in recipe.refine:
        timed = algorithms.REFINEMENTS[step.algorithm].timed
        share = _share(bench.deadline, waiting) if timed else Deadline()
        done = refine_once(draft, step, replace(bench, deadline=share), place)
        steps = (*draft.findings.steps, done.record)
        draft = replace(done.draft, findings=replace(done.draft.findings, steps=steps))
        waiting -= timed
    return draft


def _share(deadline: Deadline, steps: int) -> Deadline:
    return Deadline.within(deadline.left / steps if math.isfinite(deadline.ends) else None)


def calibration_inputs(model: OnnxModel, recipe: Recipe, bench: Workbench) -> object:
    """Everything that :func:`calibrate` depends on, to store its result under."""
    seen = (bench.photographs.digest, len(bench.photographs), parse_observer(recipe.observer).name)
    steps = [preparing(model, step, bench) for step in recipe.prepare]
    return model.meaning, seen, bench.scheme.activations, steps


def refinement_inputs(calibrated: Calibrated, recipe: Recipe, bench: Workbench) -> object:
    """Everything that :func:`finish` depends on besides the legal graph, to store its result under."""
    steps = [refining(step, bench) for step in recipe.refine]
    narrow = narrowed(bench.scheme, recipe)
    return calibrated.model.meaning, calibrated.statistics, narrow, steps, recipe.name
