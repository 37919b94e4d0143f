"""Runs one job: ``python -m depthdeploy.runtime.worker JOB_FOLDER``, in any Python that has the SDK.

Runs inside vendor images: standard library alone, Python 3.8 and later.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

from depthdeploy.runtime.job import (
    LOG,
    OUT,
    CompileFailure,
    CompileJob,
    CompileResult,
    JobTensor,
    digest,
    digests,
    read_job,
    write_outcome,
)

_USAGE = 2


def run_job(folder: Path) -> CompileResult | CompileFailure:
    """Compile what ``job.json`` says and store ``result.json``; whatever goes wrong is in it, and in ``log.txt``."""
    outcome = _outcome(folder)
    write_outcome(folder, outcome)
    return outcome


def _outcome(folder: Path) -> CompileResult | CompileFailure:
    try:
        job = read_job(folder)
        try:
            importlib.import_module(job.driver)
        except ImportError as cause:
            _log(folder)
            missing = not (cause.name and f"{job.driver}.".startswith(f"{cause.name}."))
            return CompileFailure(missing, f"{type(cause).__name__}: {cause}")
        return _compile(folder, job)
    except Exception as cause:  # the outermost frame: whatever a vendor's SDK raises becomes a result
        _log(folder)
        return CompileFailure(missing=False, message=f"{type(cause).__name__}: {cause}")


def _compile(folder: Path, job: CompileJob) -> CompileResult:
    for name, expected in sorted(job.files.items()):
        if digest(folder / name) != expected:
            raise ValueError(f"{name} is not the file that the job was written for: its SHA-256 differs")
    driver = importlib.import_module(job.driver)
    out = folder / OUT
    out.mkdir(exist_ok=True)
    start = time.perf_counter()
    made = driver.compile(str(folder / job.model), str(out), job.settings)
    seconds = time.perf_counter() - start
    return CompileResult(
        entry=made["entry"],
        files=digests(out),
        input=_tensor(made["input"]),
        output=_tensor(made["output"]),
        versions=driver.versions(),
        seconds=seconds,
    )


def _tensor(description: tuple[str, str, list[int]]) -> JobTensor:
    name, dtype, shape = description
    return JobTensor(name, dtype, tuple(shape))


def _log(folder: Path) -> None:
    with (folder / LOG).open("a", encoding="utf-8") as stream:
        traceback.print_exc(file=stream)


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the job was compiled, 1 when it was not, 2 for a wrong call."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m depthdeploy.runtime.worker JOB_FOLDER\n")
        return _USAGE
    outcome = run_job(Path(arguments[0]))
    if isinstance(outcome, CompileFailure):
        sys.stderr.write(outcome.message + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
