"""Folders of ``rgb/NAME.jpg`` and ``depth/NAME.png``: photographs and 16-bit depth maps of one name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from depthdeploy.plugin import CalibrationError, DepthRange, Photo
from depthdeploy_calibration.file_set import DepthFiles, FileSet
from depthdeploy_calibration.inspection import SUFFIXES, ImageFile, inspect, listing


def rgbd_folder(place: Path, *, names: Sequence[str]) -> Path | None:
    """The first of a place and its named subfolders that holds ``rgb`` and ``depth``."""
    candidates = [place, *(place / name for name in names)]
    return next((path for path in candidates if (path / "rgb").is_dir() and (path / "depth").is_dir()), None)


def open_rgbd(
    folder: Path, *, name: str, per_metre: float, scored: DepthRange, remarks: tuple[str, ...] = ()
) -> FileSet:
    """The photographs of ``folder/rgb`` with the depth maps of ``folder/depth``.

    Args:
        folder: what holds both.
        name: the set's, for reports.
        per_metre: what one metre is in the depth maps.
        scored: which depths are scored.
        remarks: what a report must say.

    Raises:
        CalibrationError: a photograph has no depth map, sizes differ, files are damaged, or there are none.
    """
    images = {path.stem: path for path in sorted((folder / "rgb").iterdir()) if path.suffix.lower() in SUFFIXES}
    if not images:
        raise CalibrationError(f"{folder / 'rgb'} holds no photographs.", "Check the folder.")
    maps = {path.stem: path for path in sorted((folder / "depth").iterdir()) if path.suffix.lower() == ".png"}
    lonely = [path.name for stem, path in images.items() if stem not in maps]
    if lonely:
        raise CalibrationError(
            f"{len(lonely)} of the {len(images)} photographs of {folder} have no depth/NAME.png:{listing(lonely)}\n",
            "Add the depth maps, or take the photographs out.",
        )
    unused = len(maps) - len(images)
    left_out = (f"{unused} depth maps have no photograph and are left out",) if unused else ()
    return paired_set(
        {f"rgb/{path.name}": path for path in images.values()},
        DepthFiles({f"rgb/{path.name}": maps[stem] for stem, path in images.items()}, per_metre, scored),
        name=name,
        place=folder,
        strata={},
        remarks=remarks + left_out,
    )


def paired_set(
    images: Mapping[str, Path],
    measured: DepthFiles,
    *,
    name: str,
    place: Path,
    strata: Mapping[str, str],
    remarks: tuple[str, ...],
) -> FileSet:
    """A set of photographs and depth maps of equal ids, sizes checked.

    Raises:
        CalibrationError: sizes differ, or files are damaged.
    """
    found = inspect(images, place=str(place))
    depths = inspect(measured.files, place=f"{place} (depth maps)")
    _require_equal_sizes(found, depths, place=place)
    photos = tuple(Photo(key, image.digest, strata.get(key, "")) for key, image in found.items())
    return FileSet(name, photos, dict(images), measured, remarks=remarks)


def _require_equal_sizes(images: Mapping[str, ImageFile], depths: Mapping[str, ImageFile], *, place: Path) -> None:
    different = [
        f"{key}: photograph {image.height}x{image.width}, depth map {depths[key].height}x{depths[key].width}"
        for key, image in images.items()
        if (image.height, image.width) != (depths[key].height, depths[key].width)
    ]
    if different:
        raise CalibrationError(
            f"{len(different)} photographs of {place} differ in size from their depth maps:{listing(different)}\n",
            "Give depth maps that were registered to the photographs.",
        )
