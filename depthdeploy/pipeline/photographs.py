"""Which photographs calibrate and which evaluate: decided before anything runs, disjoint by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depthdeploy import registry
from depthdeploy.core.depth import InputContract
from depthdeploy.core.photos import PhotoSet, Selection
from depthdeploy.core.recipe import Recipe
from depthdeploy.core.report import SelectionRecord
from depthdeploy.core.request import CompileRequest, split_argument
from depthdeploy.errors import CalibrationError
from depthdeploy.imaging.sampling import CALIBRATION, EVALUATION, require_disjoint, select, split
from depthdeploy.imaging.stream import stream

#: How many photographs calibrate when nobody says: enough for ranges.
DEFAULT_CALIBRATION = 256
#: How many photographs without labels evaluate when nobody says; labelled sets are scored whole.
DEFAULT_EVALUATION = 64


@dataclass(frozen=True, slots=True)
class Chosen:
    """A set with the photographs that are used of it."""

    photoset: PhotoSet
    selection: Selection

    @property
    def record(self) -> SelectionRecord:
        """For the report."""
        chosen = self.selection
        return SelectionRecord(
            dataset=chosen.dataset,
            purpose=chosen.purpose,
            images=len(chosen.photos),
            available=chosen.available,
            seed=chosen.seed,
            digest=chosen.digest,
            strata=dict(chosen.strata),
            photos=tuple(photo.id for photo in chosen.photos),
            remarks=self.photoset.remarks,
        )


@dataclass(frozen=True, slots=True)
class Photographs:
    """All photographs of a run.

    Attributes:
        calibration: what ranges are observed on.
        evaluations: what is scored; each set shares no content with the calibration photographs, unless ``leak``.
        leak: set when every photograph was asked for calibration, so that fidelity is scored on the very same ones;
            the report says so.
        few: set when fewer calibrate than the recipe is meant for and this was allowed; the report says so.
    """

    calibration: Chosen
    evaluations: tuple[Chosen, ...]
    leak: str = ""
    few: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationStream:
    """The calibration photographs as tensors, decoded anew each time they are asked for.

    Attributes:
        chosen: the photographs.
        contract: how they become tensors.
    """

    chosen: Chosen
    contract: InputContract

    @property
    def digest(self) -> str:
        """The digest of the selection."""
        return self.chosen.selection.digest

    def __len__(self) -> int:
        """How many photographs there are."""
        return len(self.chosen.selection.photos)

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        """The first ``count`` photographs, each ``[1, 3, H, W]`` float32."""
        return tensors(self.chosen, self.contract, count=count)


def tensors(chosen: Chosen, contract: InputContract, *, count: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Input tensors of the first ``count`` chosen photographs, decoded in the background."""
    photos = chosen.selection.photos[:count]
    return (loaded.tensor for loaded in stream(chosen.photoset, photos, contract, keep_image=False))


def _open(spec: str, request: CompileRequest) -> PhotoSet:
    name, argument = split_argument(spec)
    return registry.datasets[name].open(argument, request.data_root)


def labelled(photoset: PhotoSet) -> bool:
    """Whether a set carries measured depth or annotated pairs."""
    return photoset.depth_range is not None or any(photoset.pairs(photo) for photo in photoset.photos)


def choose(request: CompileRequest, recipe: Recipe | None = None) -> Photographs:
    """Open the sets that a request names and choose from them.

    Args:
        request: what is asked for.
        recipe: how the network will be quantized; ``None`` when it will not be.

    Raises:
        UsageError: an unknown set, or an argument is missing.
        CalibrationError: too few photographs, damaged ones, or some that would both calibrate and evaluate.
    """
    photoset = _open(request.calibration, request)
    most = max(DEFAULT_CALIBRATION, recipe.images if recipe else 1)
    chosen, leak = [], ""
    if not request.evaluations or request.calibration in request.evaluations:
        calibration, own = _from_one_set(photoset, request, most)
        if own is None:
            own, leak = replace(calibration, purpose=EVALUATION), _leak(calibration)
        chosen.append(Chosen(photoset, own))
    else:
        wanted = request.calibration_count or min(most, _available(photoset))
        calibration = select(photoset, count=wanted, seed=request.seed, purpose=CALIBRATION)
    for spec in request.evaluations:
        if spec != request.calibration:
            other = _open(spec, request)
            selection = select(other, count=request.evaluation_count, seed=request.seed, purpose=EVALUATION)
            require_disjoint(calibration, selection)
            chosen.append(Chosen(other, selection))
    few = _few(calibration, recipe, request) if recipe else ""
    return Photographs(Chosen(photoset, calibration), tuple(chosen), leak, few)


def _few(calibration: Selection, recipe: Recipe, request: CompileRequest) -> str:
    """What is conceded when a recipe gets fewer photographs than it is meant for; empty when it gets enough."""
    found = len(calibration.photos)
    if found >= recipe.images:
        return ""
    what = f"The recipe {recipe.name} is meant for {recipe.images:,} calibration photographs or more, and {found:,} of"
    if not request.allow_few:
        raise CalibrationError(
            f"{what} the {calibration.available:,} of {calibration.dataset} would calibrate.",
            f"Ask for more with --calib-count {recipe.images}, add photographs, choose another recipe (depthdeploy "
            "recipes), or accept the loss with --allow-few-photographs.",
        )
    return f"{what} {calibration.dataset} calibrated, as was allowed."


def _from_one_set(photoset: PhotoSet, request: CompileRequest, most: int) -> tuple[Selection, Selection | None]:
    """Calibration and evaluation photographs of one set; no evaluation when all were asked for calibration."""
    available = _available(photoset)
    wanted = request.calibration_count or min(most, max(1, available * 2 // 3))
    if wanted >= available and request.evaluation_count is None:
        return select(photoset, count=wanted, seed=request.seed, purpose=CALIBRATION), None
    rest = available - wanted
    evaluated = request.evaluation_count or (rest if labelled(photoset) else min(rest, DEFAULT_EVALUATION))
    return split(photoset, calibration=wanted, evaluation=evaluated, seed=request.seed)


def _available(photoset: PhotoSet) -> int:
    """How many there are to choose from: a content that occurs twice counts once."""
    return len({photo.digest for photo in photoset.photos})


def _leak(calibration: Selection) -> str:
    return (
        f"All {len(calibration.photos)} photographs of {calibration.dataset} calibrate, so fidelity is scored on the "
        "calibration photographs themselves: it is optimistic."
    )
