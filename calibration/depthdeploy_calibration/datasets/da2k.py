"""``da2k``: the DA-2K benchmark, 2,068 point pairs on 1,033 photographs of eight scene types.

Yang et al. 2024, "Depth Anything V2", section 6.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from depthdeploy.plugin import CalibrationError, Photo
from depthdeploy_calibration.annotations import read_annotations, require_found, require_inside
from depthdeploy_calibration.file_set import FileSet, required_root
from depthdeploy_calibration.inspection import ImagePath, inspect

#: Counts of the official set.
IMAGES: Final = 1033
PAIRS: Final = 2068

_SOURCE: Final = (
    "DA-2K is at https://huggingface.co/datasets/depth-anything/DA-2K (Apache-2.0, DA-2K.zip, 681 MB): "
    "unpacked or as the archive."
)


@dataclass(frozen=True, slots=True)
class Da2k:
    """DA-2K as published: ``annotations.json`` beside ``images/<scene type>/``, in a folder or in the archive."""

    id: str = "da2k"
    title: str = "DA-2K: 1,033 photographs, 2,068 point pairs, 8 scene types (681 MB, Apache-2.0)"
    usage: str = "da2k with --data-root DIR, or da2k:DIR; DIR holds DA-2K/ or DA-2K.zip, or is it"

    def open(self, argument: str, data_root: Path | None) -> FileSet:
        """Read the annotations and check them against the photographs; the stratum is the scene type.

        Raises:
            UsageError: no folder is given.
            CalibrationError: annotations or photographs are missing or damaged, or points lie outside.
        """
        root = _set_root(required_root(argument, data_root, plugin=self.id, source=_SOURCE))
        file = root / "annotations.json"
        annotations = read_annotations(file)
        images: dict[str, ImagePath] = {name: root / name for name in annotations}
        require_found([name for name, path in images.items() if not path.is_file()], total=len(images), file=file)
        found = inspect(images, place=str(root))
        require_inside(annotations, found, file=file)
        photos = tuple(Photo(name, image.digest, _scene_type(name)) for name, image in found.items())
        pairs = sum(len(entry) for entry in annotations.values())
        return FileSet(self.id, photos, images, annotations=annotations, remarks=_remarks(len(photos), pairs))


def _set_root(place: Path) -> ImagePath:
    candidates: list[ImagePath] = []
    for path in (place, place / "DA-2K", place / "DA-2K.zip"):
        if path.suffix.lower() == ".zip" and path.is_file():
            archive = _archive(path)
            candidates += [archive, archive / "DA-2K"]
        else:
            candidates.append(path)
    for candidate in candidates:
        if (candidate / "annotations.json").is_file():
            return candidate
    raise CalibrationError(f"{place} holds no DA-2K/annotations.json and no DA-2K.zip.", _SOURCE)


def _archive(path: Path) -> zipfile.Path:
    try:
        return zipfile.Path(path)
    except (zipfile.BadZipFile, OSError) as cause:
        raise CalibrationError(f"{path} cannot be opened: {cause}.", f"Fetch it again. {_SOURCE}") from cause


def _scene_type(name: str) -> str:
    """``indoor`` of ``images/indoor/name.jpg``."""
    return name.rpartition("/")[0].rpartition("/")[2]


def _remarks(images: int, pairs: int) -> tuple[str, ...]:
    if (images, pairs) == (IMAGES, PAIRS):
        return ()
    counts = f"{images:,} photographs and {pairs:,} pairs, the official set has {IMAGES:,} and {PAIRS:,}"
    return (f"{counts}: figures cannot be compared with published ones",)


plugin = Da2k()
