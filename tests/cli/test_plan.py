"""``depthdeploy plan`` as a user meets it: text, JSON, chart, exit codes, and how long it takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from depthdeploy.cli.app import run

MIDAS = ["plan", "--target", "onnxruntime:cpu-vnni"]


def test_the_text_says_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(MIDAS) == 0
    shown = capsys.readouterr().out
    for words in ("MiDaS v2.1 Small", "all 193 nodes accepted", "MB of weights", "int8 symmetric", "128 of sample",
                  "latency (estimate)", "Conv", "Go: nothing stands in the way."):  # fmt: skip
        assert words in shown, words


def test_json_is_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*MIDAS, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["schema"], plan["network"]["source"]) == ("1.0", "midas-v21-small")
    assert plan["targets"][0]["legal"]["nodes"] == 193


def test_several_targets_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["plan", "--target", "onnxruntime:cpu-vnni,onnxruntime:cpu-avx2", "--model", "depth-anything-v2-base"])
    shown = capsys.readouterr().out
    assert code == 5
    assert "onnxruntime:cpu-avx2 int8" in shown
    assert "Stops  export" in shown
    assert "--accept-licence CC-BY-NC-4.0" in shown


def test_a_chart_of_one_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "chart.svg"
    assert run([*MIDAS, "--chart", str(chart)]) == 0
    assert ET.fromstring(chart.read_text("utf-8")).tag.endswith("svg")
    assert "estimate" in chart.read_text("utf-8")
    capsys.readouterr()
    assert run(["plan", "--target", "onnxruntime:cpu-vnni,onnxruntime:cpu-avx2", "--chart", str(chart)]) == 2
    assert "--chart draws one target" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget-ms", "0"], "is no time"),
        (["--budget-ms", "16", "--concurrent", "2"], "is no share"),
        (["--approximate", "resize=best"], "'resize=best' is not known"),
        (["--allow-fallback", "lots"], "is no limit"),
        (["--allow-fallback", "120%"], "is no limit"),
    ],
)
def test_misuse_is_a_paragraph(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*MIDAS, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_midas_is_planned_in_seconds_without_pytorch() -> None:
    """Processor time, which other work on the machine does not add to."""
    code = (
        "import sys\nfrom depthdeploy.cli.app import run\n"
        f"code = run({MIDAS!r})\nassert not {{'torch', 'transformers'}} & set(sys.modules)\nsys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
