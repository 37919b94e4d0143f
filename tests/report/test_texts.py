"""The report's texts against golden files; ``DEPTHDEPLOY_UPDATE_GOLDEN=1`` writes them anew."""

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from depthdeploy.core.report import KernelCheck, Report
from depthdeploy.report.figures import Figure
from depthdeploy.report.json import report_json
from depthdeploy.report.markdown import report_markdown
from depthdeploy.report.tables import groups, metric_table

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("DEPTHDEPLOY_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), f"{name} changed: set DEPTHDEPLOY_UPDATE_GOLDEN=1 and read the diff"


def test_report_json(report: Report) -> None:
    check("report.json", report_json(report))


def test_report_markdown(report: Report) -> None:
    figure = Figure("maps/00-a.png", "indoor/a.jpg (the worst). int8: error 1.00 %.", b"")
    chart = Figure("charts/pareto.png", "SQNR against estimated time.", b"")
    check("report.md", report_markdown(report, [figure], [chart]))


def test_a_float_report_that_does_not_run_here(report: Report) -> None:
    bare = replace(
        report, quantization=None, kernels=None, artifact_latency=None, evaluations=(), degradations=(), remarks=()
    )
    text = report_markdown(bare)
    assert "The artifact was not run." in text
    assert "The artifact does not run on this machine." in text
    assert "## Quantization" not in text
    assert "## Concessions\n\nNone." in text
    assert "Read this first" not in text


def test_a_kernel_gap_is_flagged_above_half_a_decibel_only(report: Report) -> None:
    within = replace(report, kernels=KernelCheck(30.0, 29.5, 0.5))
    assert "**The gap" in report_markdown(report)
    assert "**The gap" not in report_markdown(within)


def test_fidelity_and_accuracy_never_share_a_table(report: Report) -> None:
    for group in groups(report.evaluations):
        assert len({one.kind for one in group}) == 1
    other = replace(report.evaluations[0], dataset="nyu")
    assert len(groups((*report.evaluations, other))) == 4


def test_every_figure_says_where_it_ran_and_how_it_came_about(report: Report) -> None:
    for group in groups(report.evaluations):
        table = metric_table(group)
        assert table.rows[0] == ("evidence", *(one.evidence.value for one in group))
        assert table.rows[1] == ("ran on", *(one.ran_on for one in group))
        assert {note.split(":")[0] for note in table.notes} >= {"Compared with", "Alignment", "Resize rule"}
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_terms_that_differ_are_given_for_each_candidate(report: Report) -> None:
    first, second, *_ = report.evaluations
    table = metric_table((first, replace(second, images=1)))
    assert any("emulated int8: 2 with" in note and "openvino cpu-vnni int8: 1 with" in note for note in table.notes)


def test_names_from_outside_cannot_break_the_table(report: Report) -> None:
    strange = replace(report, network=replace(report.network, name="a|b\n<script>"), command="x ``` y")
    text = report_markdown(strange)
    assert r"a\|b &lt;script>" in text
    assert "<script>" not in text
    assert text.count("```") == 2


@pytest.mark.parametrize("word", ["nan", "inf"])
def test_a_figure_that_is_no_number_is_never_written(report: Report, word: str) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        report_json(replace(report, kernels=KernelCheck(float(word), 1.0, 1.0)))


def test_the_fixture_fills_every_field(report: Report) -> None:
    for field in fields(report):
        value = getattr(report, field.name)
        assert value or is_dataclass(value), field.name
