"""Which photographs calibrate and which evaluate: decided before anything runs, disjoint by content."""

from __future__ import annotations

from dataclasses import dataclass, replace

from depthdeploy import registry
from depthdeploy.core.photos import PhotoSet, Selection
from depthdeploy.core.report import SelectionRecord
from depthdeploy.core.request import CompileRequest, split_argument
from depthdeploy.imaging.sampling import CALIBRATION, EVALUATION, require_disjoint, select, split

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
    """

    calibration: Chosen
    evaluations: tuple[Chosen, ...]
    leak: str = ""


def _open(spec: str, request: CompileRequest) -> PhotoSet:
    name, argument = split_argument(spec)
    return registry.datasets[name].open(argument, request.data_root)


def labelled(photoset: PhotoSet) -> bool:
    """Whether a set carries measured depth or annotated pairs."""
    return photoset.depth_range is not None or any(photoset.pairs(photo) for photo in photoset.photos)


def choose(request: CompileRequest) -> Photographs:
    """Open the sets that a request names and choose from them.

    Raises:
        UsageError: an unknown set, or an argument is missing.
        CalibrationError: too few photographs, damaged ones, or some that would both calibrate and evaluate.
    """
    photoset = _open(request.calibration, request)
    chosen, leak = [], ""
    if not request.evaluations or request.calibration in request.evaluations:
        calibration, own = _from_one_set(photoset, request)
        if own is None:
            own, leak = replace(calibration, purpose=EVALUATION), _leak(calibration)
        chosen.append(Chosen(photoset, own))
    else:
        wanted = request.calibration_count or min(DEFAULT_CALIBRATION, _available(photoset))
        calibration = select(photoset, count=wanted, seed=request.seed, purpose=CALIBRATION)
    for spec in request.evaluations:
        if spec != request.calibration:
            other = _open(spec, request)
            selection = select(other, count=request.evaluation_count, seed=request.seed, purpose=EVALUATION)
            require_disjoint(calibration, selection)
            chosen.append(Chosen(other, selection))
    return Photographs(Chosen(photoset, calibration), tuple(chosen), leak)


def _from_one_set(photoset: PhotoSet, request: CompileRequest) -> tuple[Selection, Selection | None]:
    """Calibration and evaluation photographs of one set; no evaluation when all were asked for calibration."""
    available = _available(photoset)
    wanted = request.calibration_count or min(DEFAULT_CALIBRATION, max(1, available * 2 // 3))
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
