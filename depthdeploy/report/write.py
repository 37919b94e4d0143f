"""A report's files, each of them whole or not there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from depthdeploy.core.findings import Findings
from depthdeploy.core.gallery import GalleryItem
from depthdeploy.core.report import Report
from depthdeploy.errors import StorageError
from depthdeploy.report.charts import charts
from depthdeploy.report.figures import figures
from depthdeploy.report.findings import sensitivity_csv
from depthdeploy.report.json import report_json
from depthdeploy.report.markdown import report_markdown

_PICTURE: Final = re.compile(r"\d{2,}-.+\.png")
_OPTIONAL: Final = ("charts/sensitivity.png", "charts/pareto.png", "sensitivity.csv")


def write_report(report: Report, gallery: Sequence[GalleryItem], folder: Path) -> tuple[Path, ...]:
    """Write ``maps/*.png``, ``charts/*.png``, ``sensitivity.csv``, ``report.json`` and ``report.md``.

    Charts and layers are there only when the quantizer found something to show. What an earlier report left in the same
    folder under the names of ours (``maps/00-*.png``, ``charts/*.png``, ``sensitivity.csv``) and this one does not have
    is removed.

    Args:
        report: what to write.
        gallery: what the pictures show.
        folder: where; it is made when it is not there.

    Returns:
        The files, ``report.md`` last.

    Raises:
        StorageError: the disk is full or the folder cannot be written; every file is then whole, old or new.
        ValueError: a figure is NaN or infinite.
    """
    pictures = figures(gallery)
    found = report.quantization.findings if report.quantization else Findings()
    drawn = charts(found)
    files = {
        **{picture.path: picture.png for picture in (*pictures, *drawn)},
        **({"sensitivity.csv": sensitivity_csv(found).encode()} if found.sensitivity else {}),
        "report.json": report_json(report).encode(),
        "report.md": report_markdown(report, pictures, drawn).encode(),
    }
    try:
        for name, content in files.items():
            _replace(folder / name, content)
        for old in (folder / "maps").glob("*.png"):
            if _PICTURE.fullmatch(old.name) and f"maps/{old.name}" not in files:
                old.unlink()
        for name in _OPTIONAL:
            if name not in files:
                (folder / name).unlink(missing_ok=True)
    except OSError as cause:
        raise StorageError(
            f"The report cannot be written to {folder}: {cause.strerror or cause}.",
            "Free space, or choose another folder with --out.",
        ) from cause
    return tuple(folder / name for name in files)


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place at once: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
