"""The files between the framework and a vendor's SDK: ``job.json`` goes in, ``result.json`` comes out.

Runs inside vendor images: standard library alone, Python 3.8 and later.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from depthdeploy.runtime.fields import Fields, Setting

#: The version of both files; a change that breaks a reader raises the first number.
SCHEMA = "1.0"

JOB = "job.json"
RESULT = "result.json"
LOG = "log.txt"
OUT = "out"


@dataclass(frozen=True)
class JobTensor:
    """A named tensor: numpy's name of the element type, every dimension positive."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class CompileJob:
    """What a driver is to compile.

    Attributes:
        target: the target's name.
        variant: its variant.
        precision: ``int8``, ``fp16`` or ``fp32``.
        driver: the module of the heavy half.
        sdk: the distribution that the driver imports.
        install: how a user gets it.
        model: the ONNX file, relative to the job folder.
        files: every input file, relative -> SHA-256.
        settings: what the driver is told besides the graph.
        input: the graph's input.
        output: the graph's output.
    """

    target: str
    variant: str
    precision: str
    driver: str
    sdk: str
    install: str
    model: str
    files: dict[str, str]
    settings: dict[str, Setting]
    input: JobTensor
    output: JobTensor


@dataclass(frozen=True)
class CompileResult:
    """What a driver made.

    Attributes:
        entry: the file that a runtime opens, relative to ``out/``.
        files: every file of ``out/``, relative -> SHA-256.
        input: the artifact's input, as its own runtime reads it.
        output: the artifact's output, as its own runtime reads it.
        versions: package -> version of what compiled it.
        seconds: wall-clock time.
    """

    entry: str
    files: dict[str, str]
    input: JobTensor
    output: JobTensor
    versions: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class CompileFailure:
    """Why a driver made nothing.

    Attributes:
        missing: whether the SDK is not installed; otherwise it reported an error.
        message: the SDK's own words.
    """

    missing: bool
    message: str


def write_job(folder: Path, job: CompileJob) -> None:
    """Store ``job.json``."""
    _write(folder / JOB, {"schema": SCHEMA, **asdict(job)})


def read_job(folder: Path) -> CompileJob:
    """Read ``job.json``.

    Raises:
        ToolchainFailed: it is missing, or is not a job of this version.
    """
    table = Fields(folder / JOB, SCHEMA)
    job = CompileJob(
        target=table.text("target"),
        variant=table.text("variant"),
        precision=table.text("precision"),
        driver=table.text("driver"),
        sdk=table.text("sdk"),
        install=table.text("install"),
        model=table.path("model"),
        files=table.digests("files"),
        settings=table.settings("settings"),
        input=JobTensor(*table.tensor("input")),
        output=JobTensor(*table.tensor("output")),
    )
    table.end()
    return job


def write_outcome(folder: Path, outcome: CompileResult | CompileFailure) -> None:
    """Store ``result.json``."""
    _write(folder / RESULT, {"schema": SCHEMA, "compiled": isinstance(outcome, CompileResult), **asdict(outcome)})


def read_outcome(folder: Path) -> CompileResult | CompileFailure:
    """Read ``result.json``.

    Raises:
        ToolchainFailed: it is missing, or is not a result of this version.
    """
    table = Fields(folder / RESULT, SCHEMA)
    if not table.flag("compiled"):
        failure = CompileFailure(table.flag("missing"), table.text("message"))
        table.end()
        return failure
    result = CompileResult(
        entry=table.path("entry"),
        files=table.digests("files"),
        input=JobTensor(*table.tensor("input")),
        output=JobTensor(*table.tensor("output")),
        versions=table.texts("versions"),
        seconds=table.number("seconds"),
    )
    table.end()
    return result


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, relative -> SHA-256, in order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def _write(path: Path, value: dict[str, object]) -> None:
    """Under a temporary name first: a reader sees a whole file or none."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)
