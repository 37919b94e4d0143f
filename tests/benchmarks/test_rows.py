"""Rows of the comparison: what is written is read, what is new replaces, what is missing stays empty in the table."""

import sys
from pathlib import Path

import pytest
from quantizers.environments import PEERS as PEER_SCRIPTS
from quantizers.environments import interpreter
from quantizers.rows import Row, UsageError, merged, read_rows, write_rows
from quantizers.table import markdown
from quantizers.tools import PEERS, tool

from depthdeploy.core.digest import sha256_file

EXACT = Row("net", "nncf", "exact", "nncf 3", "mixed", 256, 99.5, 98.0, 31.234, 28.0, 12.34, 900.4)
BETTER = Row("net", "ours:best", "exact", "depthdeploy 1", "best", 256, 99.9, 99.0, 35.5, 30.0, 20.0, 500.0)
REFUSED = Row("net", "nncf", "onnxruntime", error="it cannot open the graph")
TIMED = Row("net", "ours:best", "onnxruntime", sqnr_db=35.0, latency_ms=2.5, latency_to_float=0.5)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.json"
    write_rows(path, [EXACT, REFUSED], "a machine")
    assert read_rows(path) == (EXACT, REFUSED)
    assert [one.name for one in path.parent.iterdir()] == ["rows.json"]


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "rows.json") == ()


@pytest.mark.parametrize("content", ["", "[]", '{"rows": [{"network": "net"}]}', '{"rows": [1]}', '{"lines": []}'])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"rows\.json holds no rows"):
        read_rows(path)


def test_a_field_of_another_release_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"rows": [{"network": "a", "tool": "b", "judge": "exact", "colour": "red"}]}')
    assert read_rows(path) == (Row("a", "b", "exact"),)


def test_a_new_row_takes_the_place_of_the_old_one() -> None:
    again = Row("net", "nncf", "exact", sqnr_db=1.0)
    assert merged([EXACT, REFUSED], [again, BETTER]) == (again, REFUSED, BETTER)


def test_judges_have_tables_of_their_own_and_the_best_stands_first() -> None:
    lines = markdown([EXACT, TIMED, BETTER, REFUSED]).splitlines()
    titles = [line for line in lines if line.startswith("###")]
    assert titles == ["### net, exact: Q/DQ executed in float", "### net, integer kernels of ONNX Runtime"]
    assert lines[2].count("|") == lines[3].count("|") == lines[4].count("|")
    assert lines[4] == "| ours:best | 256 | 35.50 | 30.00 | 99.900 | 99.00 | 20.0 | 500 |"
    assert lines[5].startswith("| nncf | 256 | 31.23 |")


def test_a_refusal_is_told_and_has_no_figures() -> None:
    text = markdown([REFUSED, TIMED])
    assert "nncf: it cannot open the graph" in text
    assert "| nncf |  |  |  |  |  |  |  |  |  |  |" in text
    assert "| 2.50 | 0.500 |  |" in text


def test_tools_are_found_by_name() -> None:
    assert tool("ours:fast").recipe == "fast"
    assert all(tool(name) is one for name, one in PEERS.items())
    for unknown in ("ours", "ours:", "theirs"):
        with pytest.raises(UsageError, match="there is no tool"):
            tool(unknown)


def test_the_own_environment_is_this_one(tmp_path: Path) -> None:
    assert interpreter("", tmp_path) == Path(sys.executable)


def test_an_environment_of_the_same_requirements_is_kept(tmp_path: Path) -> None:
    stamp = tmp_path / "nncf" / "requirements.sha256"
    stamp.parent.mkdir()
    stamp.write_text(sha256_file(PEER_SCRIPTS / "nncf.txt"))
    assert interpreter("nncf", tmp_path) == tmp_path / "nncf" / "bin" / "python"


def test_every_peer_has_its_requirements_and_script() -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    for one in PEERS.values():
        assert (folder / "peers" / f"{one.environment}.txt").is_file()
        assert (folder / f"{one.module.replace('.', '/')}.py").is_file()
