"""Where a driver runs: in this process, or in another Python that has the vendor's SDK."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from depthdeploy.errors import ToolchainFailed, ToolchainMissing
from depthdeploy.runtime.job import LOG, OUT, RESULT, CompileFailure, CompileResult, digests, read_job, read_outcome
from depthdeploy.runtime.worker import run_job

#: The folder of a job folder that holds the worker and the driver.
CODE = "code"


class Toolchain(Protocol):
    """Something that runs the job of a job folder."""

    def compile(self, folder: Path) -> CompileResult:
        """Run the job; every digest of the result was recomputed from the files.

        Raises:
            ToolchainMissing: the SDK is not installed there; the job folder stays as it is.
            ToolchainFailed: the driver reported an error, crashed, or gave back other files than it says.
        """


@dataclass(frozen=True, slots=True)
class InProcess:
    """The driver in this process."""

    def compile(self, folder: Path) -> CompileResult:
        """Run the job here."""
        run_job(folder)
        return collect(folder)


@dataclass(frozen=True, slots=True)
class Subprocess:
    """The driver in another Python, 3.8 or later, that needs the SDK and numpy and nothing of depthdeploy.

    Attributes:
        python: its executable.
        limit_s: after how many seconds it is stopped; ``None``: never.
    """

    python: Path
    limit_s: float | None = None

    def compile(self, folder: Path) -> CompileResult:
        """Run the job there; what it prints goes to the job folder's log."""
        command = [str(self.python), "-m", "depthdeploy.runtime.worker", str(folder.absolute())]
        (folder / RESULT).unlink(missing_ok=True)
        with (folder / LOG).open("ab") as log:
            try:
                code = subprocess.run(
                    command, cwd=folder / CODE, stdout=log, stderr=log, timeout=self.limit_s, check=False
                ).returncode
            except subprocess.TimeoutExpired as cause:
                raise ToolchainFailed(
                    f"{self.python} was stopped after {self.limit_s} s.", f"Its log is {folder / LOG}."
                ) from cause
            except OSError as cause:
                raise ToolchainMissing(
                    f"{self.python} cannot be started: {cause.strerror or cause}.", "Name a Python with the SDK."
                ) from cause
        if not (folder / RESULT).exists():
            raise ToolchainFailed(f"The compiler {_end(code)} without a result.", f"Its log is {folder / LOG}.")
        return collect(folder)


def _end(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (memory may have run out)" if -code == signal.SIGKILL else "")


def collect(folder: Path) -> CompileResult:
    """The result of a job that was run, with every digest recomputed.

    Raises:
        ToolchainMissing: the SDK was not installed.
        ToolchainFailed: the driver reported an error, or ``out/`` does not hold what the result says.
    """
    outcome = read_outcome(folder)
    if isinstance(outcome, CompileFailure):
        raise _failure(folder, outcome)
    found = digests(folder / OUT)
    if found != outcome.files or outcome.entry not in found:
        differing = sorted({*found.items()} ^ {*outcome.files.items()})
        raise ToolchainFailed(
            f"The compiler's files are not those of its result: {', '.join(name for name, _ in differing) or 'none'}.",
            f"Compile again; the job is {folder}.",
        )
    return outcome


def _failure(folder: Path, failure: CompileFailure) -> ToolchainMissing | ToolchainFailed:
    if not failure.missing:
        return ToolchainFailed(f"The compiler reported: {failure.message}", f"Its log is {folder / LOG}.")
    job = read_job(folder)
    return ToolchainMissing(
        f"{job.sdk} cannot be imported ({failure.message}); everything before it is done.",
        f"Install it with `{job.install}` and repeat the command, or finish the job where it is installed:"
        f" `cd {folder / CODE} && python -m depthdeploy.runtime.worker ..`.",
    )
