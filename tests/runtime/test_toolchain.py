"""Toolchains against a driver made for the test: what crashes, lies or is missing is said so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from depthdeploy.errors import ToolchainFailed, ToolchainMissing
from depthdeploy.runtime.job import LOG, RESULT, CompileFailure, CompileJob, JobTensor, digest, read_outcome, write_job
from depthdeploy.runtime.toolchain import CODE, InProcess, Subprocess, Toolchain
from depthdeploy.runtime.worker import main

TENSOR = JobTensor("image", "float32", (1, 3, 8, 8))
HEAD = """
from pathlib import Path
def versions(): return {"fake": "1.0"}
def made(out_dir):
    (Path(out_dir) / "a.bin").write_bytes(b"abc")
    return {"entry": "a.bin", "input": ("image", "float32", [1, 3, 8, 8]), "output": ("depth", "float32", [1, 1, 8, 8])}
"""
GOOD = "def compile(model, out_dir, settings): return made(out_dir)"
RAISES = "def compile(model, out_dir, settings): raise RuntimeError('layer 7 does not fit')"
EXITS = "import os\ndef compile(model, out_dir, settings): os._exit(3)"
KILLED = "import os, signal\ndef compile(model, out_dir, settings): os.kill(os.getpid(), signal.SIGKILL)"
SLEEPS = "import time\ndef compile(model, out_dir, settings): time.sleep(60)"
NO_SDK = "import an_sdk_that_nobody_has"
FORGETS = "def compile(model, out_dir, settings): return {**made(out_dir), 'entry': 'b.bin'}"
SPEAKS = "def compile(model, out_dir, settings):\n  print('tiling layer 3', flush=True)\n  return made(out_dir)"

counter = iter(range(1000))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty job folder; ``driver(job, text)`` completes it."""
    monkeypatch.syspath_prepend(str(tmp_path / CODE))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.onnx").write_bytes(b"graph")
    (tmp_path / CODE).mkdir()
    return tmp_path


def driver(job: Path, text: str) -> None:
    name = f"fake_driver_{next(counter)}"  # a name of its own: this process keeps imported modules
    (job / CODE / f"{name}.py").write_text(HEAD + text)
    (job / CODE / "depthdeploy").symlink_to(Path(sys.modules["depthdeploy"].__path__[0]))
    files = {"model/model.onnx": digest(job / "model/model.onnx")}
    write_job(
        job,
        CompileJob(
            "t", "v", "int8", name, "an-sdk", "pip install an-sdk", "model/model.onnx", files, {}, TENSOR, TENSOR
        ),
    )


TOOLCHAINS = [InProcess(), Subprocess(Path(sys.executable))]


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_good_driver(job: Path, toolchain: Toolchain) -> None:
    driver(job, GOOD)
    result = toolchain.compile(job)
    assert result.entry == "a.bin"
    assert result.files == {"a.bin": digest(job / "out/a.bin")}
    assert result.versions == {"fake": "1.0"}
    assert result.output == JobTensor("depth", "float32", (1, 1, 8, 8))


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_sdk_error_keeps_its_words(job: Path, toolchain: Toolchain) -> None:
    driver(job, RAISES)
    with pytest.raises(ToolchainFailed, match=r"RuntimeError: layer 7 does not fit.*log\.txt"):
        toolchain.compile(job)
    assert "Traceback" in (job / LOG).read_text()


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_missing_sdk_says_how_to_finish(job: Path, toolchain: Toolchain) -> None:
    driver(job, NO_SDK)
    with pytest.raises(ToolchainMissing, match="an-sdk cannot be imported") as caught:
        toolchain.compile(job)
    assert "pip install an-sdk" in caught.value.remedy
    assert "python -m depthdeploy.runtime.worker" in caught.value.remedy


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_missing_driver_is_not_a_missing_sdk(job: Path, toolchain: Toolchain) -> None:
    driver(job, GOOD)
    next((job / CODE).glob("fake_driver*.py")).unlink()
    with pytest.raises(ToolchainFailed, match="ModuleNotFoundError"):
        toolchain.compile(job)


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_entry_that_was_not_written(job: Path, toolchain: Toolchain) -> None:
    driver(job, FORGETS)
    with pytest.raises(ToolchainFailed, match="not those of its result"):
        toolchain.compile(job)


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_changed_input_is_refused(job: Path, toolchain: Toolchain) -> None:
    driver(job, GOOD)
    (job / "model/model.onnx").write_bytes(b"another graph")
    with pytest.raises(ToolchainFailed, match=r"model/model\.onnx is not the file"):
        toolchain.compile(job)


@pytest.mark.parametrize(("text", "words"), [(EXITS, "ended with exit code 3"), (KILLED, "was killed by SIGKILL")])
def test_crash_is_named(job: Path, text: str, words: str) -> None:
    driver(job, text)
    with pytest.raises(ToolchainFailed, match=words):
        Subprocess(Path(sys.executable)).compile(job)


def test_crash_does_not_pass_for_an_earlier_result(job: Path) -> None:
    driver(job, EXITS)
    (job / RESULT).write_text('{"schema": "1.0"}')
    with pytest.raises(ToolchainFailed, match="without a result"):
        Subprocess(Path(sys.executable)).compile(job)


def test_limit_stops_it(job: Path) -> None:
    driver(job, SLEEPS)
    with pytest.raises(ToolchainFailed, match="was stopped after 1"):
        Subprocess(Path(sys.executable), limit_s=1).compile(job)


def test_what_the_sdk_prints_is_in_the_log(job: Path) -> None:
    driver(job, SPEAKS)
    Subprocess(Path(sys.executable)).compile(job)
    assert "tiling layer 3" in (job / LOG).read_text()


def test_python_that_is_not_there(job: Path) -> None:
    driver(job, GOOD)
    with pytest.raises(ToolchainMissing, match="cannot be started"):
        Subprocess(job / "no-python").compile(job)


def test_worker_from_the_command_line(job: Path) -> None:
    driver(job, RAISES)
    assert main([]) == 2
    assert main([str(job)]) == 1
    assert isinstance(read_outcome(job), CompileFailure)
    done = subprocess.run(
        [sys.executable, "-m", "depthdeploy.runtime.worker"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_oldest_python_runs_the_worker(job: Path) -> None:
    """Vendor images hold Python 3.8; the worker needs nothing but its standard library."""
    python = shutil.which("python3.8")
    if python is None or subprocess.run([python, "-V"], capture_output=True, check=False).returncode:
        pytest.skip("no Python 3.8 on this machine")
    driver(job, GOOD)
    assert Subprocess(Path(python)).compile(job).files == {"a.bin": digest(job / "out/a.bin")}
