"""``folder:PATH``: any photographs, without depth."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from depthdeploy.plugin import CalibrationError, Photo, UsageError
from depthdeploy_calibration.file_set import FileSet, set_name
from depthdeploy_calibration.inspection import SUFFIXES, ImageFile, ImagePath, inspect


@dataclass(frozen=True, slots=True)
class Folder:
    """The photographs in a folder and its subfolders; a photograph's stratum is its subfolder."""

    id: str = "folder"
    title: str = "your own photographs: a folder and its subfolders"
    usage: str = "folder:PATH"

    def open(self, argument: str, data_root: Path | None) -> FileSet:
        """List the photographs, sorted by path; each content once. Names that begin with a dot are passed over.

        Args:
            argument: the folder, relative to the working directory, or else to ``--data-root``.
            data_root: where a relative folder is looked for second.

        Raises:
            UsageError: no folder is named.
            CalibrationError: it is missing or empty, or files in it are damaged.
        """
        if not argument:
            raise UsageError("folder needs a path.", "Write folder:PATH, the folder of your photographs.")
        root = _found(argument, data_root)
        files, others = _listed(root)
        if not files:
            endings = ", ".join(sorted(SUFFIXES))
            raise CalibrationError(f"{root} holds no photographs.", f"Give a folder with files of {endings}.")
        distinct, remarks = _distinct(inspect(files, place=str(root)))
        photos = tuple(Photo(key, file.digest, _parent(key)) for key, file in distinct.items())
        if others:
            kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items()))
            remarks.append(f"{others.total()} files are left out, they are no photographs of a known format: {kinds}")
        return FileSet(
            set_name(self.id, str(root)), photos, {key: distinct[key].path for key in distinct}, remarks=tuple(remarks)
        )


def _found(argument: str, data_root: Path | None) -> Path:
    path = Path(argument).expanduser()
    if not path.exists() and data_root is not None and (data_root / path).exists():
        path = data_root / path
    if not path.exists():
        raise CalibrationError(f"{path} does not exist.", "Check the path after folder:.")
    if not path.is_dir():
        raise CalibrationError(f"{path} is not a folder.", "Give the folder that holds the photographs.")
    return path


def _listed(root: Path) -> tuple[dict[str, ImagePath], Counter[str]]:
    """Photographs by relative path in order, and the endings of the other files."""
    found: dict[str, ImagePath] = {}
    others: Counter[str] = Counter()

    def refuse(cause: OSError) -> None:
        raise CalibrationError(f"{cause.filename} cannot be listed: {cause.strerror}.", "Check its rights.") from cause

    for folder, inside, names in os.walk(root, onerror=refuse):
        inside[:] = [name for name in inside if not name.startswith((".", "__MACOSX"))]
        for name in names:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() in SUFFIXES:
                found[path.relative_to(root).as_posix()] = path
            else:
                others[path.suffix.lower() or "without ending"] += 1
    return dict(sorted(found.items())), others


def _distinct(files: dict[str, ImageFile]) -> tuple[dict[str, ImageFile], list[str]]:
    first: dict[str, str] = {}
    twins = [(key, first[file.digest]) for key, file in files.items() if first.setdefault(file.digest, key) != key]
    kept = {key: file for key, file in files.items() if first[file.digest] == key}
    if not twins:
        return kept, []
    some = ", ".join(f"{key} = {twin}" for key, twin in twins[:3]) + (", ..." if len(twins) > 3 else "")
    return kept, [f"{len(twins)} files repeat the content of another and are left out: {some}"]


def _parent(key: str) -> str:
    return key.rpartition("/")[0]


plugin = Folder()
