"""Per-image scores gathered into evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from depthdeploy.core.metrics import HIGHER_IS_BETTER, Distribution, Evaluation, Evidence, ImageScore, MetricKind
from depthdeploy.core.photos import Photo
from depthdeploy.evaluation.ordinal import PairCount


@dataclass(frozen=True, slots=True)
class Terms:
    """What every figure of an evaluation was made under; the fields of ``Evaluation``."""

    kind: MetricKind
    dataset: str
    candidate: str
    ran_on: str
    evidence: Evidence
    reference: str
    alignment: str
    resize: str


@dataclass(slots=True)
class Tally:
    """The scores of one candidate, of one kind, so far."""

    terms: Terms
    scores: list[ImageScore] = field(default_factory=list)
    counts: list[tuple[str, PairCount]] = field(default_factory=list)

    def add(self, photo: Photo, values: Mapping[str, float], weight: int) -> None:
        """One photograph's metrics, with the pixels behind them."""
        self.scores.append(ImageScore(photo.id, photo.stratum, values, weight))

    def add_pairs(self, photo: Photo, count: PairCount) -> None:
        """One photograph's pairs; it has an accuracy only when one of them was scored."""
        self.counts.append((photo.stratum, count))
        if count.pairs:
            self.add(photo, {"accuracy": count.accuracy, "ties": float(count.ties)}, count.pairs)

    @property
    def pairs(self) -> PairCount:
        """All pairs together."""
        return sum((count for _, count in self.counts), PairCount())

    def evaluation(self) -> Evaluation:
        """Everything gathered.

        Raises:
            ValueError: no photograph was scored.
        """
        terms = self.terms
        return Evaluation(
            kind=terms.kind,
            dataset=terms.dataset,
            candidate=terms.candidate,
            ran_on=terms.ran_on,
            evidence=terms.evidence,
            reference=terms.reference,
            alignment=terms.alignment,
            resize=terms.resize,
            images=len(self.scores),
            weight=sum(score.weight for score in self.scores),
            metrics=self._distributions(),
            totals=self._totals(),
            per_image=tuple(self.scores),
            strata=self._strata(),
        )

    def _distributions(self) -> dict[str, Distribution]:
        names = [name for name in self.scores[0].values if name != "ties"] if self.scores else []
        if not names:
            raise ValueError("no photograph was scored")
        return {
            name: Distribution.of(
                {score.photo: score.values[name] for score in self.scores}, higher_is_better=name in HIGHER_IS_BETTER
            )
            for name in names
        }

    def _totals(self) -> dict[str, float]:
        if self.counts:
            return self.pairs.figures()
        if self.terms.kind is MetricKind.FIDELITY:
            return {"max_abs": max(score.values["max_abs"] for score in self.scores)}
        return {}

    def _strata(self) -> dict[str, dict[str, float]]:
        grouped: dict[str, PairCount] = {}
        for stratum, count in self.counts:
            grouped[stratum] = grouped.get(stratum, PairCount()) + count
        return {stratum: count.figures() for stratum, count in sorted(grouped.items()) if stratum and count.pairs}
