"""Figures as rows of text with their units: what every readable form of a report shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from depthdeploy.core.metrics import HIGHER_IS_BETTER, Distribution, Evaluation, MetricKind


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title.

    Attributes:
        title: what it is about.
        columns: the heads; the first column names the row.
        rows: as many cells each as there are columns.
        notes: what the figures were made under, one sentence each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Form:
    """How a metric is written: its unit and decimals."""

    unit: str
    digits: int


_FORMS: Final[Mapping[str, _Form]] = {
    "delta1": _Form("%", 2),
    "delta2": _Form("%", 2),
    "delta3": _Form("%", 2),
    "abs_rel": _Form("", 4),
    "sq_rel": _Form("m", 4),
    "rmse": _Form("m", 4),
    "mae": _Form("m", 4),
    "rmse_log": _Form("", 4),
    "log10": _Form("", 4),
    "silog": _Form("x 100", 2),
    "sqnr_db": _Form("dB", 2),
    "cosine": _Form("", 6),
    "max_abs": _Form("", 4),
    "accuracy": _Form("%", 2),
}

#: The metric by which photographs are called worst.
HEADLINE: Final = {MetricKind.FIDELITY: "sqnr_db", MetricKind.DENSE: "delta1", MetricKind.ORDINAL: "accuracy"}

_TITLES: Final = {
    MetricKind.FIDELITY: "Fidelity to the FP32 network",
    MetricKind.DENSE: "Accuracy against measured depth",
    MetricKind.ORDINAL: "Ordinal accuracy on annotated pairs",
}


def metric_label(name: str, kind: MetricKind) -> str:
    """Name, unit and the better direction: ``delta1 (%, higher is better)``."""
    unit = _FORMS[name].unit if name in _FORMS else ""
    if kind is MetricKind.FIDELITY and unit == "m":
        unit = "network units"
    better = "higher" if name in HIGHER_IS_BETTER else "lower"
    return f"{name} ({unit + ', ' if unit else ''}{better} is better)"


def metric_value(name: str, value: float) -> str:
    """A value with the decimals of its metric."""
    return f"{value:.{_FORMS[name].digits if name in _FORMS else 4}f}"


def groups(evaluations: Iterable[Evaluation]) -> tuple[tuple[Evaluation, ...], ...]:
    """Evaluations of one kind on one set together: figures of two kinds or two sets never share a table."""
    found: dict[tuple[MetricKind, str], list[Evaluation]] = {}
    for evaluation in evaluations:
        found.setdefault((evaluation.kind, evaluation.dataset), []).append(evaluation)
    return tuple(tuple(group) for group in found.values())


def metric_table(group: Sequence[Evaluation]) -> Table:
    """Metric by candidate, for evaluations of one kind on one set."""
    first = group[0]
    rows = [
        ("evidence", *(one.evidence.value for one in group)),
        ("ran on", *(one.ran_on for one in group)),
    ]
    if first.kind is MetricKind.ORDINAL:
        rows += _pair_rows(group)
        cells = "The accuracy is over all pairs, with its 95 % Wilson interval; a tie is wrong."
    else:
        names = [name for name in _FORMS if any(name in one.metrics for one in group)]
        rows += [(metric_label(name, first.kind), *(_spread(one, name) for one in group)) for name in names]
        cells = (
            "Each cell: mean over images (median; 5th percentile from the bad end); "
            "delta1..3 are the pixels inside a factor of 1.25, 1.25^2, 1.25^3."
        )
    return Table(
        f"{_TITLES[first.kind]}: {first.dataset}",
        ("metric", *(one.candidate for one in group)),
        tuple(rows),
        (*_terms(group), cells),
    )


def _pair_rows(group: Sequence[Evaluation]) -> list[tuple[str, ...]]:
    def interval(figures: Mapping[str, float]) -> str:
        return f"{figures['accuracy']:.2f} [{figures['wilson_low']:.2f}, {figures['wilson_high']:.2f}]"

    rows = [(metric_label("accuracy", MetricKind.ORDINAL), *(interval(one.totals) for one in group))]
    for name in ("pairs", "right", "ties", "outside"):
        label = "outside the crop, not scored" if name == "outside" else name
        rows.append((label, *(f"{one.totals[name]:,.0f}" for one in group)))
    for stratum in sorted({stratum for one in group for stratum in one.strata}):
        cells = (
            f"{interval(one.strata[stratum])}, {one.strata[stratum]['pairs']:,.0f} pairs, "
            f"{one.strata[stratum]['ties']:.0f} ties"
            if stratum in one.strata
            else "-"
            for one in group
        )
        rows.append((f"accuracy in {stratum}", *cells))
    return rows


def _spread(evaluation: Evaluation, name: str) -> str:
    if name not in evaluation.metrics:
        return "-"
    figures: Distribution = evaluation.metrics[name]
    mean, median, tail = (metric_value(name, value) for value in (figures.mean, figures.median, figures.p5))
    return f"{mean} ({median}; {tail})"


def _terms(group: Sequence[Evaluation]) -> tuple[str, ...]:
    """What the figures were made under, once where all candidates agree."""
    unit = "pairs" if group[0].kind is MetricKind.ORDINAL else "pixels"
    lines = {
        "Compared with": [one.reference for one in group],
        "Photographs": [f"{one.images:,} with {one.weight:,} {unit}" for one in group],
        "Alignment": [one.alignment for one in group],
        "Resize rule": [one.resize for one in group],
    }
    names = [one.candidate for one in group]
    return tuple(f"{label}: {_agreed(names, values)}." for label, values in lines.items())


def _agreed(names: Sequence[str], values: Sequence[str]) -> str:
    if len(set(values)) == 1:
        return values[0]
    return "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))


def worst_table(evaluations: Iterable[Evaluation]) -> Table:
    """The worst photographs by name, for every evaluation."""
    rows = []
    for one in evaluations:
        name = HEADLINE[one.kind]
        if name in one.metrics:
            named = ", ".join(f"{photo} {metric_value(name, value)}" for photo, value in one.metrics[name].worst)
            rows.append((one.candidate, one.kind.value, one.dataset, metric_label(name, one.kind), named))
    return Table("Worst photographs", ("candidate", "figures", "data set", "by", "photographs"), tuple(rows))
