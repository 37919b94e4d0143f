"""The page of the comparison: goals decide by figures, names do not cover one another, hand-written text stays."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from page.blocks import filled
from page.goals import Goal, goals
from page.labels import Box, around, placed
from page.pictures import fidelity_picture, linear, logarithmic, memory_picture
from page.sensitivity import read_layers, worst
from page.tables import FOOTNOTE, goal_table, memory_table, result_tables
from page.tools import PER_CHANNEL, networks
from quantizers.memory_rows import MemoryRow, write_memory
from quantizers.rows import Row, UsageError, write_rows

from depthdeploy.core.findings import Findings, Sensitivity
from depthdeploy.report.findings import sensitivity_csv

ROOT = Path(__file__).parents[2]


def exact(
    network: str, tool: str, sqnr: float, seconds: float = 10.0, peak: float = 400.0, *, delta1: float = 99.95
) -> Row:
    return Row(network, tool, "exact", "1", "s", 256, delta1, delta1, sqnr, sqnr, seconds, peak)


ROWS = (
    exact("net", "ours:fast", 34.0, 6.0, 450.0),
    exact("net", "ours:best", 38.0, delta1=99.90),
    exact("net", "ort-percentile", 32.9, peak=300.0),
    exact("net", "nncf", 33.5, 7.0, 440.0),
    exact("net", "nncf-tensor", 32.0, 6.0, 460.0),
    exact("net", "aimet-adaround", 36.0),
    exact("net-hard", "ours:fast", 32.9),
    replace(exact("net", "ours:fast", 33.4), judge="onnxruntime", latency_ms=2.0, latency_to_peer=0.8, peer="p"),
    replace(exact("net", "ours:best", 38.6), judge="onnxruntime", latency_ms=2.0, latency_to_peer=1.25, peer="p"),
    Row("net", "nncf", "onnxruntime", error="a.b.Error: it | cannot"),
)
CURVE = (MemoryRow("net", "fast", 1024, peak_mib=1431.0), MemoryRow("net", "fast", 16, peak_mib=300.0))
LAYERS = tuple(Sensitivity(f"n{index}", "Conv", 40.0 - index, 0.999, 30.0, 0.99, 1000 + index) for index in range(20))


def found(part: str, against: str = "", network: str = "net") -> Goal:
    (goal,) = [
        one for one in goals(ROWS, CURVE) if part in one.name and against in one.against and one.network == network
    ]
    return goal


@pytest.mark.parametrize(
    ("part", "against", "network", "outcome", "bound"),
    [
        ("without learning", "same scheme: ort-percentile", "net", "reached", 33.9),
        ("without learning", "all peers: nncf", "net", "missed", 34.5),
        ("rescaled", "", "net-hard", "missed", 33.0),
        ("time", "same scheme: nncf-tensor", "net", "reached", 6.0),
        ("memory at most", "same scheme: nncf-tensor", "net", "reached", 460.0),
        ("memory at most", "all peers: nncf", "net", "missed", 440.0),
        ("`fast`: kernels", "onnxruntime", "net", "missed", 0.5),
        ("`fast`: kernels", "openvino", "net", "not measured", 0.5),
        ("`fast`: speed", "onnxruntime: p", "net", "reached", 1.0),
        ("`best`: speed", "onnxruntime: p", "net", "missed", 1.0),
        ("`best`: best peer", "same scheme: aimet-adaround", "net", "reached", 38.0),
        ("`best`: delta1 p5", "", "net", "reached", 99.5),
        ("`best-w4`", "", "net", "not measured", 98.5),
        ("1,024 photographs", "", "net", "missed", 1500.0),
    ],
)
def test_goals_are_held_against_the_right_figure(
    part: str, against: str, network: str, outcome: str, bound: float
) -> None:
    goal = found(part, against, network)
    assert goal.outcome == outcome
    assert goal.bound == pytest.approx(bound)


def test_a_goal_on_its_bound_is_reached_both_ways() -> None:
    high = Goal("g", "net", 1.0, 1.0, "dB")
    low = replace(high, higher_is_better=False)
    assert [(goal.outcome, goal.margin) for goal in (high, low)] == [("reached", 0.0)] * 2
    assert replace(high, measured=1.5).margin == 0.5
    assert (replace(low, measured=1.5).outcome, replace(low, measured=1.5).margin) == ("missed", -0.5)


def test_only_nncf_with_its_own_grids_is_another_scheme() -> None:
    assert "nncf-tensor" not in PER_CHANNEL
    assert {"nncf", "nncf-performance", "nncf-openvino", "nncf-best"} <= PER_CHANNEL
    assert not any(name.startswith(("ort", "aimet", "ours")) for name in PER_CHANNEL)


def test_variants_follow_their_network() -> None:
    rows = [Row(name, "t", "exact") for name in ("a-harder", "b", "a", "a-hard")]
    assert networks(rows) == ("a", "a-hard", "a-harder", "b")


def test_tables_mark_the_other_scheme_and_tell_refusals() -> None:
    text = result_tables(ROWS)
    assert "| **ours:fast** | 33.40 | 33.40 | 99.950 | 99.95 | -0.60 | 2.00 |  | 0.800 |" in text
    assert "| nncf ¹ | 256 | 33.50 |" in text
    assert "Refused: nncf ¹ — it | cannot" in text
    assert FOOTNOTE in text
    told = goal_table(goals(ROWS, CURVE))
    assert "**missed**" in told
    assert len({line.count("|") for line in told.splitlines() if line.startswith("|")}) == 1
    assert memory_table(CURVE).splitlines()[2].startswith("| net | fast | 16 | 300 | 315 |")


def test_names_cover_nothing() -> None:
    random = np.random.default_rng(0)
    sheet = Box(0.0, 0.0, 900.0, 500.0)
    points = [(float(x), float(y)) for x, y in random.uniform((300, 200), (480, 280), (14, 2))]
    boxes = placed(points, [(90.0, 17.0)] * len(points), sheet)
    for index, box in enumerate(boxes):
        assert box.within(sheet)
        assert not any(box.meets(other) for other in boxes[:index])
        assert not any(box.meets(around(point, 4.0)) for point in points)


def test_axes_hold_their_values_and_have_round_marks() -> None:
    assert logarithmic([2.0, 180.0], "s").marks == (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
    axis = linear([26.0, 38.0], "dB")
    assert axis.low < 26.0
    assert axis.high > 38.0
    assert axis.marks == (26.0, 28.0, 30.0, 32.0, 34.0, 36.0, 38.0)
    assert linear([5.0], "dB").marks


def test_charts_are_drawn_where_there_are_figures() -> None:
    chart = fidelity_picture(ROWS, "net")
    assert chart is not None
    assert len(chart.getcolors(chart.width * chart.height) or ()) > 50
    assert fidelity_picture(ROWS, "net-hard") is None
    assert memory_picture(CURVE) is not None
    assert memory_picture([MemoryRow("net", "fast", 16, error="it failed")]) is None


def test_what_is_written_by_hand_stays() -> None:
    page = "# Title\n<!-- generated: one -->\nold\n<!-- end -->\ntext\n"
    once = filled(page, {"one": "new \\1"})
    assert once == "# Title\n<!-- generated: one -->\n\nnew \\1\n\n<!-- end -->\ntext\n"
    assert filled(once, {"one": "new \\1"}) == once
    for blocks in ({}, {"two": ""}, {"one": "", "two": ""}):
        with pytest.raises(UsageError, match="the page has marks for the blocks one"):
            filled(page, blocks)


def report(path: Path) -> None:
    rows = [{name: getattr(layer, name) for name in Sensitivity.__dataclass_fields__} for layer in LAYERS]
    path.write_text(json.dumps({"quantization": {"findings": {"sensitivity": rows}}}), encoding="utf-8")


def table_file(path: Path) -> None:
    path.write_text(sensitivity_csv(Findings(sensitivity=LAYERS)), encoding="utf-8")


@pytest.mark.parametrize(("name", "write"), [("report.json", report), ("sensitivity.csv", table_file)])
def test_sensitivity_is_read_from_both_files(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    layers = read_layers(tmp_path / name)
    assert layers == LAYERS
    assert [layer.node for layer in worst(layers, 2)] == ["n19", "n18"]


@pytest.mark.parametrize(("name", "text"), [("a.csv", "x,y\n1,2\n"), ("a.csv", ""), ("a.json", "{}"), ("a.json", "[")])
def test_other_files_are_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        read_layers(tmp_path / name)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_quantization", ROOT / "docs" / "generate_quantization.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_filled(tmp_path: Path) -> None:
    page = tmp_path / "quantization.md"
    page.write_text((ROOT / "docs" / "quantization.md").read_text(encoding="utf-8"), encoding="utf-8")
    write_rows(tmp_path / "rows.json", ROWS, "a machine")
    write_memory(tmp_path / "memory.json", CURVE, "another machine")
    script = generator()
    files = (tmp_path / "rows.json", tmp_path / "memory.json", tmp_path / "absent.csv", page)
    script.fill(*files)
    text = page.read_text(encoding="utf-8")
    for part in ("a machine", "another machine", "**missed**", "images/quantization-net.png", script.NOT_MEASURED):
        assert part in text
    assert sorted(one.name for one in (tmp_path / "images").iterdir()) == ["memory.png", "quantization-net.png"]
    script.fill(*files)
    assert page.read_text(encoding="utf-8") == text
    with pytest.raises(UsageError, match=r"absent\.json has no rows"):
        script.fill(tmp_path / "absent.json", *files[1:])
