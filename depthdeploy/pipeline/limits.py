"""The limits that a user gave with ``--max-drop``, against what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.request import Drop
from depthdeploy.errors import AccuracyError

_KINDS = {"delta1": MetricKind.FIDELITY, "dense": MetricKind.DENSE, "ordinal": MetricKind.ORDINAL}


def _drop(evaluations: Sequence[Evaluation], metric: str) -> float | None:
    """Percentage points that the artifact (or its emulation, where it does not run here) loses; the worst set's."""
    of_kind = [one for one in evaluations if one.kind is _KINDS[metric]]
    measured = any(one.evidence is Evidence.MEASURED for one in evaluations)
    own = Evidence.MEASURED if measured else Evidence.EMULATED
    whole = {one.dataset: _share(one) for one in of_kind if one.evidence is Evidence.REFERENCE}
    # fidelity has no row for FP32: it agrees with itself in every pixel
    drops = [whole.get(one.dataset, 100.0) - _share(one) for one in of_kind if one.evidence is own]
    return max(drops, default=None)


def _share(evaluation: Evaluation) -> float:
    if evaluation.kind is MetricKind.ORDINAL:
        return evaluation.totals["accuracy"]
    return evaluation.metrics["delta1"].mean


def over_the_limit(evaluations: Sequence[Evaluation], limits: Sequence[Drop], goal: str) -> AccuracyError | None:
    """The error that names every limit that is not met; ``None`` when all are."""
    broken = []
    for limit in limits:
        lost = _drop(evaluations, limit.metric)
        if lost is None:
            broken.append(f"{limit.metric} was not measured: no evaluation set has what it needs")
        elif not lost <= limit.limit:
            broken.append(f"{limit.metric} loses {lost:.2f} points, more than {limit.limit:g}")
    if not broken:
        return None
    return AccuracyError(
        f"{goal}: {'; '.join(broken)}.",
        "Try more calibration photographs from the site, or a higher precision.",
    )
