"""One pass of the reference and a candidate over every evaluation set of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.gallery import GalleryItem
from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.progress import Progress
from depthdeploy.evaluation.run import EvaluationResult, evaluate
from depthdeploy.evaluation.scoring import Candidate
from depthdeploy.imaging.stream import Loaded, stream
from depthdeploy.pipeline.photographs import Chosen, Photographs
from depthdeploy.pipeline.reference import Reference

#: Photographs kept with their maps, over all sets.
GALLERY = 6


class _Counted:
    """Photographs on their way, with a length, so that progress has a total."""

    def __init__(self, chosen: Chosen, model: OnnxModel) -> None:
        self._chosen = chosen
        self._contract = model.contract

    def __iter__(self) -> Iterator[Loaded]:
        return stream(self._chosen.photoset, self._chosen.selection.photos, self._contract)

    def __length_hint__(self) -> int:
        return len(self._chosen.selection.photos)


def score(
    reference: Reference, candidate: Candidate, photographs: Photographs, *, gallery: bool, progress: Progress
) -> tuple[EvaluationResult, ...]:
    """The candidate and the reference on every evaluation set, in order."""
    model = reference.model
    total = sum(len(chosen.selection.photos) for chosen in photographs.evaluations)
    done = 0
    results = []
    for chosen in photographs.evaluations:
        before = done
        results.append(
            evaluate(
                chosen.photoset,
                _Counted(chosen, model),
                depth=model.depth,
                contract=model.contract,
                reference=reference.candidate,
                candidates=[candidate],
                gallery=_places(photographs, chosen) if gallery else 0,
                progress=lambda now, _, before=before: progress(before + now, total),  # type: ignore[misc]
            )
        )
        done += len(chosen.selection.photos)
    return tuple(results)


def sets_of(photographs: Photographs) -> list[object]:
    """What scores depend on and speak of: every photograph by content, name and stratum, and its labels."""
    return [
        (chosen.photoset.name, [(photo, chosen.photoset.labels_digest(photo)) for photo in chosen.selection.photos])
        for chosen in photographs.evaluations
    ]


def _places(photographs: Photographs, chosen: Chosen) -> int:
    """Gallery places of one set: every set shows something."""
    return max(2, GALLERY // len(photographs.evaluations)) if chosen.selection.photos else 0


def mean_fidelity(evaluations: Sequence[Evaluation], metric: str, evidence: Evidence) -> float | None:
    """A fidelity metric over all photographs of all sets, weighted by photographs; ``None`` without one."""
    rows = [one for one in evaluations if one.kind is MetricKind.FIDELITY and one.evidence is evidence]
    images = sum(one.images for one in rows)
    return sum(one.metrics[metric].mean * one.images for one in rows) / images if images else None


def loss_so_far(evaluations: Sequence[Evaluation], evidence: Evidence) -> str:
    """One phrase for a stage's line."""
    delta1 = mean_fidelity(evaluations, "delta1", evidence)
    sqnr = mean_fidelity(evaluations, "sqnr_db", evidence)
    if delta1 is None or sqnr is None:
        return ""
    images = sum(one.images for one in evaluations if one.kind is MetricKind.FIDELITY and one.evidence is evidence)
    return f"delta1 {delta1:.2f} %, SQNR {sqnr:.2f} dB against FP32 on {images} photographs"


def save_gallery(items: Sequence[GalleryItem], path: Path) -> None:
    """Store photographs and maps as one ``.npz``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for index, item in enumerate(items):
        facts = [item.photo, str(int(item.nearer_is_larger)), item.unit, item.why, *item.maps]
        arrays[f"{index}.facts"] = np.array(facts)
        arrays[f"{index}.image"] = item.image
        for place, values in enumerate(item.maps.values()):
            arrays[f"{index}.map{place}"] = values
    with path.open("wb") as stream_:
        np.savez_compressed(stream_, **arrays)  # type: ignore[arg-type]


def load_gallery(path: Path) -> tuple[GalleryItem, ...]:
    """What ``save_gallery`` stored."""
    items = []
    with np.load(path, allow_pickle=False) as arrays:
        count = sum(name.endswith(".facts") for name in arrays.files)
        for index in range(count):
            photo, nearer, unit, why, *names = (str(fact) for fact in arrays[f"{index}.facts"])
            maps = {name: arrays[f"{index}.map{place}"] for place, name in enumerate(names)}
            items.append(GalleryItem(photo, arrays[f"{index}.image"], maps, nearer == "1", unit, why))
    return tuple(items)
