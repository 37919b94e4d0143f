"""One step of a recipe: what it sees, what its result depends on, and where that lies."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from depthdeploy.core.digest import digest_of
from depthdeploy.core.findings import StepRecord
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.recipe import Step
from depthdeploy.core.scheme import Scheme
from depthdeploy.memory import return_freed
from depthdeploy.quantization import algorithms
from depthdeploy.quantization.workbench import Draft, Workbench

T = TypeVar("T")


class Shelf(Protocol):
    """Where the results of steps lie."""

    def take(self, depends: object, kind: type[T], make: Callable[[Path, Path], T], *, timed: bool) -> T:
        """The result that lies there, or the one that ``make`` computes.

        Args:
            depends: everything that the result depends on.
            kind: its frozen type.
            make: computes it from two folders: where the result's graph must lie, and where the algorithm works.
            timed: whether the time budget applies, and the second should outlive an interruption.
        """


@dataclass(frozen=True, slots=True)
class NoShelf:
    """Every step is computed, in a folder of its own that the same step finds again.

    Attributes:
        folder: the parent of the steps' folders.
    """

    folder: Path

    def take(self, depends: object, kind: type[T], make: Callable[[Path, Path], T], *, timed: bool) -> T:
        """What ``make`` computes."""
        place = self.folder / f"step-{digest_of(depends)[:16]}"
        place.mkdir(parents=True, exist_ok=True)
        return make(place, place)


@dataclass(frozen=True, slots=True)
class PreparedStep:
    """What one preparation gave, as it lies on the shelf."""

    model: OnnxModel
    record: StepRecord


@dataclass(frozen=True, slots=True)
class RefinedStep:
    """What one refinement gave, as it lies on the shelf; its draft tells of no steps."""

    draft: Draft
    record: StepRecord


def prepare_once(model: OnnxModel, step: Step, bench: Workbench, shelf: Shelf) -> PreparedStep:
    """Run one preparation, or take its result from the shelf."""
    algorithm = algorithms.preparation(step)

    def make(folder: Path, work: Path) -> PreparedStep:
        since = time.perf_counter()
        made = algorithm(model, replace(bench, folder=work))
        return_freed()
        record = StepRecord(str(step), time.perf_counter() - since, made.detail)
        return PreparedStep(_moved(made.model, work, folder), record)

    return shelf.take(preparing(model, step, bench), PreparedStep, make, timed=False)


def refine_once(draft: Draft, step: Step, bench: Workbench, shelf: Shelf) -> RefinedStep:
    """Run one refinement, or take its result from the shelf."""
    entry = algorithms.REFINEMENTS[step.algorithm]
    algorithm = algorithms.refinement(step)
    start = _without_steps(draft)

    def make(folder: Path, work: Path) -> RefinedStep:
        since = time.perf_counter()
        done = algorithm(start, replace(bench, folder=work, scheme=_visible(bench.scheme, entry)))
        return_freed()
        better = _without_steps(replace(done.draft, model=_moved(done.draft.model, work, folder)))
        device = algorithms.describe_device(bench.device) if entry.learns else ""
        seconds = time.perf_counter() - since
        return RefinedStep(better, StepRecord(str(step), seconds, done.detail, done.degradations, device))

    state = (start.model.meaning, start.statistics, start.plan, start.findings)
    return shelf.take((state, refining(step, bench)), RefinedStep, make, timed=entry.timed)


def _without_steps(draft: Draft) -> Draft:
    return replace(draft, findings=replace(draft.findings, steps=()))


def _moved(model: OnnxModel, work: Path, folder: Path) -> OnnxModel:
    """The graph in the folder of results; one that lies elsewhere, since a step left it as it was, stays there."""
    if work == folder or model.path.parent != work:
        return model
    for name in (model.path.name, f"{model.path.name}.data"):
        if (work / name).exists():
            shutil.move(work / name, folder / name)
    return replace(model, path=folder / model.path.name)


def preparing(model: OnnxModel, step: Step, bench: Workbench) -> object:
    """Everything that a preparation's result depends on."""
    own = algorithms.identity(algorithms.PREPARATIONS[step.algorithm], algorithms.preparation(step))
    scheme = bench.scheme
    formats = (scheme.weights, scheme.activations, scheme.operators, scheme.quantize_output)
    return "prepare", own, model.meaning, formats, _surroundings(bench)


def refining(step: Step, bench: Workbench) -> object:
    """Everything that a refinement's result depends on besides its draft."""
    entry = algorithms.REFINEMENTS[step.algorithm]
    own = algorithms.identity(entry, algorithms.refinement(step))
    device = bench.device if entry.learns else ""
    limits = bench.limits if entry.aims else ()
    return "refine", own, _visible(bench.scheme, entry), device, limits, _surroundings(bench)


def _visible(scheme: Scheme, entry: algorithms.Algorithm) -> Scheme:
    """What a refinement may see of a scheme: targets that differ in the rest share its result."""
    return replace(scheme, source="", escapes=scheme.escapes if entry.aims else ())


def _surroundings(bench: Workbench) -> object:
    """What every algorithm may look at."""
    return bench.reference.meaning, bench.photographs.digest, len(bench.photographs), bench.seed
