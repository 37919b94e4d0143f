"""Rows of the comparison: one network, one tool, one judge; read from and written to JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

#: ``exact`` first: kernels are another question, and never stand in one table with it.
JUDGES = ("exact", "onnxruntime", "openvino")


class UsageError(Exception):
    """What was asked for does not exist or cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One result.

    Attributes:
        network: which network; hard variants end in ``-hard``.
        tool: as on the command line.
        version: the tool and its version.
        settings: all that decides the result, in words.
        images: calibration photographs.
        judge: ``exact`` (Q/DQ in float), or the runtime whose integer kernels ran.
        delta1: mean over evaluation photographs, percent, against the FP32 network.
        delta1_p5: the 5th percentile over photographs, percent.
        sqnr_db: mean over photographs of each one's SQNR, dB.
        sqnr_db_p5: the 5th percentile over photographs, dB.
        seconds: of the tool's process, from start to end.
        peak_mib: its peak memory, MiB.
        latency_ms: median per inference, milliseconds; kernels only.
        latency_to_float: median over the float network's in the same runtime and run; below 1 is faster.
        latency_to_peer: median over the peer's.
        peer: which peer.
        error: why there are no figures; empty when there are.
    """

    network: str
    tool: str
    judge: str
    version: str = ""
    settings: str = ""
    images: int = 0
    delta1: float | None = None
    delta1_p5: float | None = None
    sqnr_db: float | None = None
    sqnr_db_p5: float | None = None
    seconds: float | None = None
    peak_mib: float | None = None
    latency_ms: float | None = None
    latency_to_float: float | None = None
    latency_to_peer: float | None = None
    peer: str = ""
    error: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What is measured again is what has the same key."""
        return self.network, self.tool, self.judge


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows in a file; none where there is no file.

    Raises:
        UsageError: the file is not what :func:`write_rows` writes.
    """
    if not path.exists():
        return ()
    known = {field.name for field in fields(Row)}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [Row(**{name: value for name, value in row.items() if name in known}) for row in content["rows"]]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as cause:
        raise UsageError(f"{path} holds no rows of this benchmark ({cause}); move it away") from cause
    return tuple(rows)


def write_rows(path: Path, rows: Iterable[Row], machine: str) -> None:
    """Write rows as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "rows": [asdict(row) for row in rows]}
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def merged(old: Sequence[Row], new: Sequence[Row]) -> tuple[Row, ...]:
    """The old rows, each replaced by the new one of its key; other new rows after them."""
    fresh = {row.key: row for row in new}
    kept = [fresh.pop(row.key, row) for row in old]
    return (*kept, *fresh.values())
