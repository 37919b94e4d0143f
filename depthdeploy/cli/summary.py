"""The end of a run in a terminal: what was made, how good it is, what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from depthdeploy.cli.console import human_bytes, human_seconds
from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.report import Report
from depthdeploy.pipeline.outcome import Outcome, TargetResult

_SHOWN = {
    MetricKind.FIDELITY: ("delta1", "sqnr_db"),
    MetricKind.DENSE: ("delta1", "abs_rel"),
    MetricKind.ORDINAL: ("accuracy",),
}
_UNITS = {"delta1": "%", "accuracy": "%", "sqnr_db": " dB", "abs_rel": ""}


def _figure(evaluation: Evaluation, metric: str) -> str:
    """A metric of one evaluation: a mean over images, or a total such as the share of pairs that are right."""
    if metric in evaluation.totals:
        value = evaluation.totals[metric]
    elif metric in evaluation.metrics:
        value = evaluation.metrics[metric].mean
    else:
        return ""
    digits = 3 if metric == "abs_rel" else 2
    return f"{value:.{digits}f}{_UNITS[metric]}"


def _rows(report: Report) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(question, data set, metric, FP32, emulated, artifact) of one report."""
    sets = dict.fromkeys((one.kind, one.dataset) for one in report.evaluations)
    for kind, dataset in sets:
        of_set = {one.evidence: one for one in report.evaluations if (one.kind, one.dataset) == (kind, dataset)}
        for metric in _SHOWN[kind]:
            cells = [
                _figure(of_set[evidence], metric) if evidence in of_set else ""
                for evidence in (Evidence.REFERENCE, Evidence.EMULATED, Evidence.MEASURED)
            ]
            images = next(iter(of_set.values())).images
            yield kind.value, f"{dataset} ({images})", metric, cells[0], cells[1], cells[2]


def _show_report(console: Console, result: TargetResult, report: Report) -> None:
    table = Table(title=f"{report.network.name} on {result.target}", title_justify="left", box=None, pad_edge=False)
    for column in ("", "photographs", "metric"):
        table.add_column(column)
    for column in ("FP32", "emulated", "artifact"):
        table.add_column(column, justify="right")
    for row in _rows(report):
        table.add_row(*row)
    ratio = report.fp32_bytes / report.artifact_bytes
    size = (human_bytes(report.fp32_bytes), "", f"{human_bytes(report.artifact_bytes)} ({ratio:.1f}x smaller)")
    table.add_row("size", "", "", *size)
    if report.fp32_latency and report.artifact_latency:
        speed = report.fp32_latency.median_ms / report.artifact_latency.median_ms
        threads = report.artifact_latency.threads
        table.add_row(
            "latency",
            f"median of {report.artifact_latency.runs}, {threads} threads",
            "",
            f"{report.fp32_latency.median_ms:.2f} ms",
            "",
            f"{report.artifact_latency.median_ms:.2f} ms ({speed:.1f}x)",
        )
    console.print()
    console.print(table, highlight=False)


def show_steps(console: Console, result: TargetResult) -> None:
    """One line for every step of the recipe."""
    for record in result.findings.steps:
        where = f" on {record.device}" if record.device else ""
        line = f"Step     {record.step}: {record.detail} ({human_seconds(record.seconds)}{where})"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _entry(folder: Path, report: Report) -> str:
    """The file to look at next."""
    names = sorted(report.files, key=lambda name: (not name.endswith((".xml", ".onnx")), name))
    return str(folder / names[0])


def show_outcome(console: Console, outcome: Outcome, *, verbose: bool) -> None:
    """One table a target, the folders, and the next command."""
    for result in outcome.results:
        if result.report is not None:
            _show_report(console, result, result.report)
        if verbose:
            show_steps(console, result)
        if result.report is not None and result.folder is not None:
            _show_places(console, result.folder, result.report, verbose=verbose)
    failed = [result.target for result in outcome.results if result.error is not None]
    if failed:
        console.print(f"\n[bold red]Failed:[/bold red] {', '.join(failed)}", highlight=False)


def _show_places(console: Console, folder: Path, report: Report, *, verbose: bool) -> None:
    """The plan if it is wanted, where everything lies, and the next command."""
    if verbose and (plan := folder / "plan.txt").exists():
        console.print(plan.read_text(encoding="utf-8"), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nResult   {folder}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Report   {folder / 'report.md'}", highlight=False, markup=False, soft_wrap=True)
    next_command = f"depthdeploy inspect {_entry(folder, report)}"
    console.print(f"Next     {next_command}", highlight=False, markup=False, soft_wrap=True)
