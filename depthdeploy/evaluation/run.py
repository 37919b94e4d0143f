"""One pass over the photographs: the reference and every candidate run once, and all that can be scored is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import length_hint

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.gallery import GalleryItem
from depthdeploy.core.metrics import Evaluation
from depthdeploy.core.photos import PhotoSet
from depthdeploy.core.progress import Progress, silent
from depthdeploy.errors import EvaluationError
from depthdeploy.evaluation.gallery import Gallery
from depthdeploy.evaluation.scoring import Candidate, Scoring, prediction_map
from depthdeploy.imaging.stream import Loaded

#: A metric network whose median is off by more than this factor predicts in another unit.
_IMPLAUSIBLE = 20.0


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What one pass over a set gave.

    Attributes:
        evaluations: fidelity of every candidate, then dense, then ordinal figures of the reference and every candidate.
        gallery: photographs with their maps: the worst by SQNR of the last candidate, then an even choice.
        remarks: what a reader must know before trusting a figure.
    """

    evaluations: tuple[Evaluation, ...]
    gallery: tuple[GalleryItem, ...]
    remarks: tuple[str, ...]


def evaluate(
    photoset: PhotoSet,
    loaded: Iterable[Loaded],
    *,
    depth: DepthContract,
    contract: InputContract,
    reference: Candidate,
    candidates: Sequence[Candidate],
    gallery: int = 0,
    progress: Progress = silent,
) -> EvaluationResult:
    """Score the reference and the candidates on photographs.

    A thread scores one photograph while the next one is predicted. Memory holds two photographs, the gallery and the
    figures. Fidelity always; dense metrics where the set has measured depth, ordinal ones where it has pairs.

    Args:
        photoset: where measured depth and annotated pairs come from.
        loaded: the photographs with their image and input tensor, in order.
        depth: what predictions mean.
        contract: how photographs became inputs.
        reference: the FP32 network.
        candidates: what is compared with it.
        gallery: how many photographs to keep for figures.
        progress: told after each photograph; the total is 0 when ``loaded`` does not know its length.

    Raises:
        EvaluationError: a prediction is NaN, infinite, constant or of a wrong shape, no pixel is valid, or there is no
            photograph; photograph and candidate are named.
        ValueError: two candidates share a name, or a photograph came without its image.
    """
    names = [reference.name, *(candidate.name for candidate in candidates)]
    if len(set(names)) != len(names):
        raise ValueError(f"candidates share a name: {', '.join(names)}")
    scoring = Scoring(photoset, depth, contract, reference, candidates)
    shown = Gallery(gallery)
    if not _pass(scoring, shown, loaded, progress):
        raise EvaluationError(f"{photoset.name} has no photograph to evaluate.", "Give a set with photographs.")
    return EvaluationResult(scoring.evaluations(), shown.items(contract, depth), _remarks(scoring))


def _pass(scoring: Scoring, shown: Gallery, loaded: Iterable[Loaded], progress: Progress) -> int:
    """Predict every photograph, the one before it being scored meanwhile; how many there were."""
    total, done = length_hint(loaded), 0
    pending: Future[None] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="scoring") as pool:
        for done, item in enumerate(loaded, 1):
            predictions = {runner.name: _predicted(runner, item) for runner in scoring.runners}
            if pending is not None:
                pending.result()
            pending = pool.submit(_score, scoring, shown, item, predictions)
            progress(done, total)
        if pending is not None:
            pending.result()
    return done


def _predicted(runner: Candidate, item: Loaded) -> NDArray[np.float32]:
    see, image = runner.see, item.image
    prediction = runner.predict(item.tensor) if see is None or image is None else see(image)
    return prediction_map(prediction, candidate=runner.name, photo=item.photo)


def _score(scoring: Scoring, shown: Gallery, item: Loaded, maps: Mapping[str, NDArray[np.float32]]) -> None:
    if item.image is None:
        raise ValueError(f"{item.photo.id} came without its image")
    height, width = item.image.shape[:2]
    sqnr = scoring.score(item.photo, (height, width), maps)
    shown.offer(item.photo.id, item.image, maps, sqnr)


def _remarks(scoring: Scoring) -> tuple[str, ...]:
    """Signs of a wrong contract, which the figures alone do not show."""
    name, kind, remarks = scoring.reference.name, scoring.depth.kind.value, []
    pairs = scoring.reference_pairs()
    if pairs.pairs and pairs.accuracy < 50:
        remarks.append(
            f"{name} orders {pairs.accuracy:.1f} % of {pairs.pairs} pairs rightly, fewer than chance: is its output "
            f"really {kind}?"
        )
    if pairs.outside:
        remarks.append(f"{pairs.outside} pairs lie where the resize rule cuts the photograph off; they are not scored.")
    falling = sum(slope < 0 for slope in scoring.slopes)
    if falling * 2 > len(scoring.slopes):
        remarks.append(
            f"{name} falls with measured inverse depth on {falling} of {len(scoring.slopes)} photographs: is its "
            f"output really {kind}?"
        )
    ratio = float(np.median(scoring.ratios)) if scoring.ratios else 1.0
    if not 1 / _IMPLAUSIBLE <= ratio <= _IMPLAUSIBLE:
        remarks.append(f"{name} predicts {ratio:.3g} times the measured depth (median): is its unit really the metre?")
    return tuple(remarks)
