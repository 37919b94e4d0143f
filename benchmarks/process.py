"""Whole processes, timed from outside: wall-clock seconds and the peak memory of the largest process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One process.

    Attributes:
        seconds: wall clock.
        peak_mib: maximum resident set, MiB.
        code: exit code.
        output: standard output and error.
    """

    seconds: float
    peak_mib: float
    code: int
    output: str


def measure(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: it fails; its output is shown.
    """
    since = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environment or {})}
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - since
    scale = 1024.0 if sys.platform == "linux" else 1024.0 * 1024.0
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n{output}")
    return Measured(seconds, usage.ru_maxrss / scale, process.returncode, output)
