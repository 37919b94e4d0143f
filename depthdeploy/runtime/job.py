"""The files between the framework and a vendor's SDK: ``job.json`` goes in, ``result.json`` comes out.

Runs inside vendor images: standard library alone, Python 3.8 and later.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar, Union

from depthdeploy.errors import ToolchainFailed

T = TypeVar("T")

#: The version of both files; a change that breaks a reader raises the first number.
SCHEMA = "1.0"

JOB = "job.json"
RESULT = "result.json"
LOG = "log.txt"
OUT = "out"

#: What a driver can be told.
Setting = Union[str, int, float, bool]  # noqa: UP007  # evaluated at import, also by Python 3.8


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
    table = _Reader(folder / JOB)
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
        input=table.tensor("input"),
        output=table.tensor("output"),
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
    table = _Reader(folder / RESULT)
    if not table.flag("compiled"):
        failure = CompileFailure(table.flag("missing"), table.text("message"))
        table.end()
        return failure
    result = CompileResult(
        entry=table.path("entry"),
        files=table.digests("files"),
        input=table.tensor("input"),
        output=table.tensor("output"),
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


class _Reader:
    """A JSON object whose keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as cause:
            raise ToolchainFailed(f"{path} cannot be read: {cause}.", "Compile again.") from cause
        if not isinstance(raw, dict):
            raise self._error("", "an object", raw)
        self._raw = dict(raw)
        if self._raw.pop("schema", None) != SCHEMA:
            raise self._error("schema", SCHEMA, raw.get("schema"))

    def _error(self, key: str, expected: str, found: object) -> ToolchainFailed:
        return ToolchainFailed(f"{self._path}: {key or 'the file'}: expected {expected}, found {found!r}.")

    def _take(self, key: str, kind: type[T], expected: str) -> T:
        value = self._raw.pop(key, None)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._error(key, expected, value)
        return value

    def flag(self, key: str) -> bool:
        return self._take(key, bool, "true or false")

    def text(self, key: str) -> str:
        return self._take(key, str, "text")

    def number(self, key: str) -> float:
        return self._take(key, float, "a number")

    def _relative(self, key: str, text: str) -> str:
        path = PurePosixPath(text)
        if not text or path.is_absolute() or ".." in path.parts or "\\" in text:
            raise self._error(key, "a path inside the folder", text)
        return text

    def path(self, key: str) -> str:
        return self._relative(key, self.text(key))

    def _object(self, key: str) -> dict[str, object]:
        return self._take(key, dict, "an object")

    def texts(self, key: str) -> dict[str, str]:
        value = self._object(key)
        if any(not isinstance(item, str) for item in value.values()):
            raise self._error(key, "texts", value)
        return {name: str(item) for name, item in value.items()}

    def digests(self, key: str) -> dict[str, str]:
        return {self._relative(key, name): text for name, text in self.texts(key).items()}

    def settings(self, key: str) -> dict[str, Setting]:
        found: dict[str, Setting] = {}
        for name, value in self._object(key).items():
            if not isinstance(value, (str, int, float, bool)):
                raise self._error(f"{key}.{name}", "text, a number, true or false", value)
            found[name] = value
        return found

    def tensor(self, key: str) -> JobTensor:
        value = self._object(key)
        name, dtype, shape = value.get("name"), value.get("dtype"), value.get("shape")
        if set(value) != {"name", "dtype", "shape"} or not isinstance(name, str) or not isinstance(dtype, str):
            raise self._error(key, "name, dtype and shape", value)
        if not isinstance(shape, list) or any(not isinstance(size, int) or size <= 0 for size in shape):
            raise self._error(f"{key}.shape", "positive dimensions", shape)
        return JobTensor(name, dtype, tuple(shape))

    def end(self) -> None:
        for key in self._raw:
            raise self._error(key, "no such key", self._raw[key])
