"""The quantization chapter: steps, layers, plans, and their charts."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthdeploy.core.findings import Findings, ParetoPoint, Sensitivity
from depthdeploy.core.report import QuantizationRecord, Report
from depthdeploy.report.charts import charts
from depthdeploy.report.findings import (
    pareto_table,
    precision_words,
    sensitivity_csv,
    sensitivity_table,
    step_table,
    worst_layers,
)
from depthdeploy.report.write import write_report


@pytest.fixture
def quantization(report: Report) -> QuantizationRecord:
    assert report.quantization is not None
    return report.quantization


@pytest.fixture
def found(quantization: QuantizationRecord) -> Findings:
    return quantization.findings


def test_the_worst_layers_stand_first(found: Findings) -> None:
    table = sensitivity_table(found)
    assert len(table.rows) == 10
    assert table.rows[0][:3] == ("/layer2/Conv", "Conv", "31.50")
    assert [float(row[2]) for row in table.rows] == sorted(float(row[2]) for row in table.rows)
    assert any("10 worst of 12" in note for note in table.notes)
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_every_layer_is_in_the_csv(found: Findings) -> None:
    rows = list(csv.DictReader(io.StringIO(sensitivity_csv(found))))
    assert [row["node"] for row in rows] == [row.node for row in found.sensitivity]
    assert [float(row["sqnr_alone_db"]) for row in rows] == [row.sqnr_alone_db for row in found.sensitivity]


def test_steps_say_what_was_not_done(found: Findings) -> None:
    table = step_table(found)
    assert table.rows[1] == ("mixed-precision(sqnr_db=33.0)", "41.5", "cpu", "1 node in fp32")
    assert table.rows[2][2] == "NVIDIA H200"
    assert table.notes == ("mixed-precision(sqnr_db=33.0): not aimed at ordinal=1",)


def test_the_chosen_plan_is_marked_and_named(quantization: QuantizationRecord, found: Findings) -> None:
    table = pareto_table(found)
    assert [row[0] for row in table.rows] == ["0", "1, chosen", "3"]
    assert table.notes[-1] == "Chosen: /layer2/Conv."
    many = ParetoPoint(tuple(f"n{index}" for index in range(15)), 2.0, 50.0, 100.0, chosen=True)
    assert pareto_table(replace(found, pareto=(many,))).notes[-1].endswith("n11 and 3 more.")
    assert precision_words(quantization) == "int8 with 1 node in fp32"
    assert precision_words(replace(quantization, findings=Findings())) == "int8"
    assert precision_words(None) == "float"


def test_nothing_found_nothing_shown(report: Report, quantization: QuantizationRecord, tmp_path: Path) -> None:
    bare = replace(report, quantization=replace(quantization, findings=Findings()))
    write_report(report, (), tmp_path)
    assert (tmp_path / "charts" / "pareto.png").exists()
    assert (tmp_path / "sensitivity.csv").exists()
    assert "(<charts/pareto.png>)" in (tmp_path / "report.md").read_text("utf-8")
    write_report(bare, (), tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["report.json", "report.md"]
    text = (tmp_path / "report.md").read_text("utf-8")
    assert not any(title in text for title in ("Quantization steps", "Most sensitive", "Mixed precision"))


def test_charts_are_drawn_for_what_there_is(found: Findings) -> None:
    drawn = charts(found)
    assert [chart.path for chart in drawn] == ["charts/sensitivity.png", "charts/pareto.png"]
    assert "/layer2/Conv 31.5 dB" in drawn[0].caption
    assert worst_layers(found)[0].node == "/layer2/Conv"
    assert charts(Findings()) == ()
    assert charts(found) == drawn


def _red_below(png: bytes, row: int) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)[row:]
    return int(np.count_nonzero((pixels[..., 0] > 150) & (pixels[..., 1] < 120) & (pixels[..., 2] < 120)))


def test_a_sensitive_layer_hangs_low(found: Findings) -> None:
    """The stem of the one bad layer reaches into the lower half; with that layer like the others none does."""
    level = tuple(Sensitivity(f"n{i}", "Conv", 60.0, 1.0, 20.0, 1.0, 1) for i in range(8))
    sick = (*level[:4], replace(level[4], sqnr_alone_db=22.0), *level[5:])
    middle = 230
    assert _red_below(charts(Findings(sensitivity=level))[0].png, middle) == 0
    assert _red_below(charts(Findings(sensitivity=sick))[0].png, middle) > 100
    assert found.sensitivity


@pytest.mark.parametrize("count", [1, 2])
def test_few_layers_and_equal_figures_are_drawn(count: int) -> None:
    rows = tuple(Sensitivity(f"n{i}", "Conv", 40.0, 1.0, 40.0, 1.0, 1) for i in range(count))
    points = tuple(ParetoPoint(("n",) * i, 1.0, 40.0, 100.0, chosen=i == 1) for i in range(2))
    assert len(charts(Findings(sensitivity=rows, pareto=points))) == 2
