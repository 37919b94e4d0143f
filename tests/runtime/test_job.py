"""Job folders: the files between the framework and an SDK are read strictly."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import depthdeploy.runtime
from depthdeploy.errors import ToolchainFailed
from depthdeploy.runtime.job import (
    JOB,
    RESULT,
    CompileFailure,
    CompileJob,
    CompileResult,
    JobTensor,
    read_job,
    read_outcome,
    write_job,
    write_outcome,
)

TENSOR = JobTensor("image", "float32", (1, 3, 8, 8))
A_JOB = CompileJob(
    target="t",
    variant="v",
    precision="int8",
    driver="d.driver",
    sdk="s",
    install="pip install s",
    model="model/model.onnx",
    files={"model/model.onnx": "0" * 64},
    settings={"precision": "int8", "threads": 2, "fast": False, "ratio": 0.5},
    input=TENSOR,
    output=JobTensor("depth", "float32", (1, 1, 8, 8)),
)
A_RESULT = CompileResult("model.xml", {"model.xml": "1" * 64}, TENSOR, TENSOR, {"s": "1.0"}, 0.25)


def test_job_round_trips(tmp_path: Path) -> None:
    write_job(tmp_path, A_JOB)
    assert read_job(tmp_path) == A_JOB
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    "outcome", [A_RESULT, CompileFailure(missing=True, message="no module"), CompileFailure(False, "")]
)
def test_outcome_round_trips(tmp_path: Path, outcome: CompileResult | CompileFailure) -> None:
    write_outcome(tmp_path, outcome)
    assert read_outcome(tmp_path) == outcome


@given(message=st.text(), seconds=st.floats(0, 1e6))
def test_any_message_round_trips(tmp_path_factory: pytest.TempPathFactory, message: str, seconds: float) -> None:
    folder = tmp_path_factory.mktemp("job")
    write_outcome(folder, CompileFailure(missing=False, message=message))
    assert read_outcome(folder) == CompileFailure(missing=False, message=message)
    result = CompileResult("a", {}, TENSOR, TENSOR, {}, seconds)
    write_outcome(folder, result)
    assert read_outcome(folder) == result


def _set(key: str, value: object) -> Callable[[dict[str, object]], object]:
    return lambda raw: raw.update({key: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("surprise", 1), "surprise"),
        (_set("model", "/etc/passwd"), "model: expected a path inside the folder"),
        (_set("model", "../model.onnx"), "model: expected a path inside the folder"),
        (_set("files", {"..\\x": "0"}), "files: expected a path inside the folder"),
        (_set("precision", 8), "precision: expected text, found 8"),
        (_set("settings", {"a": [1]}), r"settings\.a"),
        (_set("schema", "2.0"), "schema: expected 1.0, found '2.0'"),
        (_set("input", {"name": "image", "dtype": "float32", "shape": [1, 0]}), r"input\.shape"),
        (_set("input", {"name": "image"}), "input: expected name, dtype and shape"),
        (lambda raw: raw.pop("driver"), "driver: expected text, found None"),
    ],
)
def test_wrong_jobs_are_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, object]], object], named: str
) -> None:
    write_job(tmp_path, A_JOB)
    raw = json.loads((tmp_path / JOB).read_text())
    change(raw)
    (tmp_path / JOB).write_text(json.dumps(raw))
    with pytest.raises(ToolchainFailed, match=named):
        read_job(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"schema": "1.0"}'])
def test_wrong_results_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULT).write_text(text)
    with pytest.raises(ToolchainFailed, match=r"result\.json"):
        read_outcome(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainFailed, match=r"job\.json cannot be read"):
        read_job(tmp_path)


@pytest.mark.parametrize("name", ["fields", "job", "worker", "__init__", "../errors", "../__init__"])
def test_worker_files_are_python_38(name: str) -> None:
    source = Path(depthdeploy.runtime.__file__).parent / f"{name}.py"
    ast.parse(source.read_text(encoding="utf-8"), feature_version=(3, 8))
