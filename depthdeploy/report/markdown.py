"""A report to read: Markdown with the tables that studies print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from depthdeploy.core.report import Report
from depthdeploy.report import facts, findings
from depthdeploy.report.figures import Figure
from depthdeploy.report.tables import Table, groups, metric_table, worst_table


def report_markdown(report: Report, figures: Sequence[Figure] = (), charts: Sequence[Figure] = ()) -> str:
    """The whole report as GitHub-flavoured Markdown; the same report gives the same text.

    Args:
        report: what to write.
        figures: pictures beside it, by their path from the report's folder.
        charts: charts of the quantization, likewise.
    """
    parts = (_head(report), _figures_of_merit(report), _gallery(figures), _quantization(report, charts))
    return "\n".join([line for part in (*parts, _provenance(report)) for line in part]) + "\n"


def _head(report: Report) -> Iterator[str]:
    precision = findings.precision_words(report.quantization)
    yield f"# {_text(report.network.name)} for {_text(f'{report.target} {report.variant}'.strip())}, {_text(precision)}"
    yield ""
    if report.command:
        yield from ("```", report.command.replace("```", "'''"), "```", "")
    for title, lines in (("Concessions", report.degradations), ("Read this first", report.remarks)):
        if lines:
            yield from (f"## {title}", "", *(f"- {_text(line)}" for line in lines), "")
    yield from rendered(facts.network_table(report))


def _figures_of_merit(report: Report) -> Iterator[str]:
    for group in groups(report.evaluations):
        yield from rendered(metric_table(group))
    yield from rendered(facts.kernel_table(report))
    yield from rendered(facts.size_table(report))
    yield from rendered(facts.latency_table(report))
    yield from rendered(worst_table(report.evaluations))


def _gallery(figures: Sequence[Figure]) -> Iterator[str]:
    if not figures:
        return
    yield from (
        "## Depth maps",
        "",
        "Near is bright and warm. All maps of a picture share the scale of FP32.",
        "",
    )
    for figure in figures:
        yield from (f"![{_text(figure.caption)}](<{figure.path}>)", "", _text(figure.caption), "")


def _quantization(report: Report, charts: Sequence[Figure]) -> Iterator[str]:
    yield from rendered(facts.legalization_table(report))
    yield from rendered(facts.quantization_table(report))
    if report.quantization is None:
        return
    found = report.quantization.findings
    yield from rendered(findings.step_table(found))
    yield from rendered(findings.sensitivity_table(found))
    yield from rendered(findings.pareto_table(found))
    for chart in charts:
        yield from (f"![{_text(chart.caption)}](<{chart.path}>)", "", _text(chart.caption), "")


def _provenance(report: Report) -> Iterator[str]:
    yield from rendered(facts.selection_table(report))
    yield from rendered(facts.stage_table(report))
    if not report.degradations:
        yield from ("## Concessions", "", "None.", "")
    yield from rendered(facts.file_table(report))
    yield from rendered(facts.version_table(report))


def rendered(table: Table) -> Iterator[str]:
    """A table's lines; nothing when it has neither rows nor notes."""
    if not table.rows and not table.notes:
        return
    yield from (f"## {_text(table.title)}", "")
    if table.rows:
        yield _row(table.columns)
        yield "|" + " --- |" * len(table.columns)
        yield from (_row(row) for row in table.rows)
        yield ""
    if table.notes:
        yield from (*(f"- {_text(note)}" for note in table.notes), "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_text(cell).replace("|", r"\|") for cell in cells) + " |"


def _text(text: str) -> str:
    """One line; a name from outside cannot open a tag."""
    return " ".join(text.split()).replace("<", "&lt;")
