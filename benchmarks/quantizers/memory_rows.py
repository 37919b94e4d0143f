"""Rows of the memory curve: one network, one recipe, one number of photographs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from quantizers.rows import UsageError


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One result.

    Attributes:
        network: which network.
        recipe: of the project.
        images: calibration photographs.
        version: the project's.
        settings: all that decides the result, in words.
        seconds: of the whole process.
        peak_mib: its peak resident memory, MiB.
        error: why there are no figures; empty when there are.
    """

    network: str
    recipe: str
    images: int
    version: str = ""
    settings: str = ""
    seconds: float | None = None
    peak_mib: float | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What is measured again is what has the same key."""
        return self.network, self.recipe, self.images


def read_memory(path: Path) -> tuple[MemoryRow, ...]:
    """The rows in a file; none where there is no file.

    Raises:
        UsageError: the file is not what :func:`write_memory` writes.
    """
    if not path.exists():
        return ()
    known = {field.name for field in fields(MemoryRow)}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return tuple(MemoryRow(**{name: value for name, value in row.items() if name in known}) for row in rows)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as cause:
        raise UsageError(f"{path} holds no rows of the memory curve ({cause}); move it away") from cause


def write_memory(path: Path, rows: Iterable[MemoryRow], machine: str) -> None:
    """Write rows as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    content = {"machine": machine, "rows": [asdict(row) for row in rows]}
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
