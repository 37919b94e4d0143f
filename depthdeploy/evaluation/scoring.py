"""One photograph after another scored for the reference and every candidate; only figures are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.depth import Alignment, DepthContract, DepthKind, InputContract
from depthdeploy.core.fidelity import FloatMap, fidelity_alignment, fidelity_scores
from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.photos import DepthRange, Photo, PhotoSet
from depthdeploy.errors import EvaluationError
from depthdeploy.evaluation.align import affine_fit, aligned_depth
from depthdeploy.evaluation.dense import dense_scores, valid_pixels
from depthdeploy.evaluation.ordinal import PairCount, count_pairs
from depthdeploy.evaluation.tally import Tally
from depthdeploy.evaluation.terms import terms
from depthdeploy.imaging.geometry import Geometry, geometry

#: One pixel of so many is enough to notice a wrong unit or sign.
_SPARSE = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network in a form that can be run.

    Attributes:
        name: in reports, unique in an evaluation: ``fp32``, ``emulated int8``.
        ran_on: runtime and device, with version.
        evidence: how its figures come about.
        predict: input tensor -> prediction, float32 ``[1, 1, h, w]``, ``[1, h, w]`` or ``[h, w]``.
        see: photograph ``[H, W, 3]`` uint8 RGB -> prediction, for a candidate that takes another tensor than the
            reference; ``predict`` is then not called.
    """

    name: str
    ran_on: str
    evidence: Evidence
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    see: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None


@dataclass(slots=True)
class Scoring:
    """What has been scored so far.

    Attributes:
        photoset: where measured depth and pairs come from.
        depth: what the predictions mean.
        contract: how photographs became inputs.
        reference: the FP32 network.
        candidates: what is compared with it.
        ratios: per photograph, the reference's median depth over the measured one; metric depth only.
        slopes: per photograph, the scale of the reference's affine fit; inverse depth only.
    """

    photoset: PhotoSet
    depth: DepthContract
    contract: InputContract
    reference: Candidate
    candidates: Sequence[Candidate]
    ratios: list[float] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    _tallies: dict[tuple[MetricKind, str], Tally] = field(default_factory=dict)

    @property
    def runners(self) -> tuple[Candidate, ...]:
        """The reference, then the candidates in order."""
        return (self.reference, *self.candidates)

    def score(self, photo: Photo, size: tuple[int, int], maps: Mapping[str, NDArray[np.float32]]) -> float | None:
        """Score one photograph.

        Args:
            photo: which one.
            size: its height and width.
            maps: candidate -> prediction ``[h, w]``, the reference among them.

        Returns:
            The last candidate's SQNR in dB; ``None`` without candidates.

        Raises:
            EvaluationError: something cannot be scored; photograph and candidate are named.
        """
        sqnr = self._score_fidelity(photo, maps)
        frame = geometry(self.contract, height=size[0], width=size[1])
        limits = self.photoset.depth_range
        truth = self.photoset.depth(photo) if limits is not None else None
        if truth is not None and limits is not None:
            self._score_dense(photo, maps, frame, truth, limits)
        pairs = self.photoset.pairs(photo)
        if pairs:
            for candidate in self.runners:
                count = count_pairs(
                    maps[candidate.name], pairs, frame, nearer_is_larger=self.depth.kind.nearer_is_larger
                )
                self._tally(MetricKind.ORDINAL, candidate).add_pairs(photo, count)
        return sqnr

    def _score_fidelity(self, photo: Photo, maps: Mapping[str, NDArray[np.float32]]) -> float | None:
        if not self.candidates:
            return None
        with named(self.reference.name, photo):
            reference = FloatMap.of(maps[self.reference.name])
        alignment = fidelity_alignment(self.depth.kind)
        sqnr = None
        for candidate in self.candidates:
            with named(candidate.name, photo):
                values = fidelity_scores(maps[candidate.name], reference, alignment=alignment)
            self._tally(MetricKind.FIDELITY, candidate).add(photo, values, reference.kept.size)
            sqnr = values["sqnr_db"]
        return sqnr

    def _score_dense(
        self,
        photo: Photo,
        maps: Mapping[str, NDArray[np.float32]],
        frame: Geometry,
        truth: NDArray[np.float32],
        limits: DepthRange,
    ) -> None:
        if truth.shape != (frame.height, frame.width):
            raise EvaluationError(
                f"{photo.id}: measured depth is {list(truth.shape)}, the photograph {[frame.height, frame.width]}.",
                "Give depth of the photograph's size.",
            )
        with named("measured depth", photo):
            valid = valid_pixels(truth, limits)
            valid &= frame.to_original(maps[self.reference.name])[1]
            if not valid.any():
                raise EvaluationError(
                    f"no pixel is seen, measured, in {limits.near:g} to {limits.far:g} m and inside the crop.",
                    "Check the depth file's unit and the data set's range.",
                )
        measured = truth[valid].astype(np.float64)
        for candidate in self.runners:
            whole, _ = frame.to_original(maps[candidate.name])
            predicted = whole[valid].astype(np.float64)
            with named(candidate.name, photo):
                aligned = aligned_depth(predicted, measured, alignment=self.depth.alignment, limits=limits)
                values = dense_scores(aligned, measured)
            self._tally(MetricKind.DENSE, candidate).add(photo, values, measured.size)
            if candidate is self.reference:
                self._watch(predicted[::_SPARSE], measured[::_SPARSE])

    def _watch(self, predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> None:
        """Keep what betrays a wrong unit or sign, which alignment and clipping would hide."""
        if self.depth.kind is DepthKind.METRIC_DEPTH:
            self.ratios.append(float(np.median(predicted) / np.median(measured)))
        elif self.depth.alignment is Alignment.AFFINE and predicted.min() < predicted.max():
            self.slopes.append(affine_fit(predicted, 1.0 / measured).scale)

    def _tally(self, kind: MetricKind, candidate: Candidate) -> Tally:
        key = (kind, candidate.name)
        if key not in self._tallies:
            self._tallies[key] = Tally(
                terms(
                    kind,
                    photoset=self.photoset,
                    depth=self.depth,
                    contract=self.contract,
                    candidate=(candidate.name, candidate.ran_on, candidate.evidence),
                    reference=f"{self.reference.name} ({self.reference.ran_on})",
                )
            )
        return self._tallies[key]

    def reference_pairs(self) -> PairCount:
        """The reference's pairs so far."""
        tally = self._tallies.get((MetricKind.ORDINAL, self.reference.name))
        return tally.pairs if tally else PairCount()

    def evaluations(self) -> tuple[Evaluation, ...]:
        """Fidelity, then dense, then ordinal; in each the reference first, then the candidates in order."""
        order = [self._tallies.get((kind, candidate.name)) for kind in MetricKind for candidate in self.runners]
        return tuple(tally.evaluation() for tally in order if tally is not None and tally.scores)


def prediction_map(prediction: NDArray[np.float32], *, candidate: str, photo: Photo) -> NDArray[np.float32]:
    """A copy of a prediction as ``[h, w]`` float32: a runtime may write its next one into the same memory.

    Raises:
        EvaluationError: it has another rank, holds NaN or infinity, or is constant.
    """
    with named(candidate, photo):
        shape = list(prediction.shape)
        if len(shape) not in (2, 3, 4) or any(side != 1 for side in shape[:-2]):
            raise EvaluationError(
                f"the prediction is {shape}, not [1, 1, h, w] or [1, h, w].", "Name the depth output, batch 1."
            )
        values = np.array(prediction, dtype=np.float32).reshape(shape[-2:])
        low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise EvaluationError("the prediction holds NaN or infinity.", "Check precision and input normalization.")
        if low == high:
            raise EvaluationError(
                f"the prediction is {low:g} everywhere.", "Check the weights, the input and the ranges of quantization."
            )
    return values


@contextmanager
def named(candidate: str, photo: Photo) -> Iterator[None]:
    """Whatever cannot be scored inside is raised again with candidate and photograph named."""
    try:
        yield
    except EvaluationError as cause:
        raise EvaluationError(f"{candidate} on {photo.id}: {cause.what}", cause.remedy) from cause
