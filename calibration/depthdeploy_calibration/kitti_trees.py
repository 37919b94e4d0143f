"""KITTI as it is published: annotated depth and raw drives, Eigen's list of test frames, the selected frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from depthdeploy.plugin import CalibrationError
from depthdeploy_calibration.inspection import listing

#: Lists of the test frames of Eigen et al., as the published code of BTS and its successors has them.
EIGEN_LISTS: Final = ("eigen_test_files_with_gt.txt", "eigen_test_files.txt")

_SPLITS: Final = ("val", "train")
_CAMERAS: Final = ("image_02", "image_03")
_SELECTED: Final = ("depth_selection/val_selection_cropped", "val_selection_cropped", ".")


@dataclass(frozen=True, slots=True)
class Frames:
    """Photographs and depth maps that belong together.

    Attributes:
        images: id -> photograph.
        depths: id -> depth map.
        strata: id -> drive.
        remarks: which frames they are.
    """

    images: dict[str, Path]
    depths: dict[str, Path]
    strata: dict[str, str]
    remarks: tuple[str, ...]


def selected_frames(place: Path) -> Frames | None:
    """The official selection of validation frames, cut to 1216x352: folders ``image`` and ``groundtruth_depth``."""
    folder = next((place / name for name in _SELECTED if (place / name / "groundtruth_depth").is_dir()), None)
    if folder is None:
        return None
    images: dict[str, Path] = {}
    depths: dict[str, Path] = {}
    for image in sorted((folder / "image").glob("*.png")):
        images[image.stem] = image
        depths[image.stem] = (
            folder / "groundtruth_depth" / image.name.replace("_sync_image_", "_sync_groundtruth_depth_")
        )
    strata = {key: key.partition("_sync_")[0] for key in images}
    return Frames(images, depths, strata, ("the official selected validation frames, scored without a crop",))


def eigen_frames(root: Path) -> Frames | None:
    """The test frames of Eigen et al., where their list lies in the root; those without annotated depth are left out.

    Raises:
        CalibrationError: photographs of the list are missing, or none has a depth map.
    """
    file = next((root / name for name in EIGEN_LISTS if (root / name).is_file()), None)
    if file is None:
        return None
    found = Frames({}, {}, {}, ())
    missing: list[str] = []
    lines = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    for line in lines:
        name = Path(line)
        drive, camera = name.parts[-4:-3], name.parts[-3:-2]
        if not drive or camera not in {(one,) for one in _CAMERAS}:
            raise CalibrationError(f"{file} has a line {line!r}.", "Lines are DATE/DRIVE/image_02/data/FRAME.png.")
        depth = _depth_map(root, drive[0], camera[0], name.stem)
        if depth is not None and not _add(found, root, drive[0], depth):
            missing.append(line)
    if missing or not found.images:
        raise CalibrationError(
            f"{len(missing)} of the {len(lines)} photographs of {file.name} are missing, {len(found.images)} have a "
            f"depth map:{listing(missing)}\n",
            "Unpack the raw drives and the annotated depth there, both splits.",
        )
    remark = (
        f"{len(found.images)} of the {len(lines)} frames of {file.name} have annotated depth (official: 652 of 697)"
    )
    return Frames(found.images, found.depths, found.strata, (remark,))


def annotated_frames(root: Path) -> Frames | None:
    """The frames of annotated depth that have photographs: of the ``val`` split, or of ``train`` where it is alone.

    Raises:
        CalibrationError: there are depth maps and none of their photographs.
    """
    for split in _SPLITS:
        maps = list(_depth_maps(root, split))
        if not maps:
            continue
        found = Frames({}, {}, {}, ())
        absent = sum(not _add(found, root, drive, depth) for drive, depth in maps)
        if not found.images:
            raise CalibrationError(
                f"{root} holds {len(maps):,} depth maps of {split}, and none of their photographs.",
                "Unpack the raw drives there, as DATE/DRIVE/image_02/data/FRAME.png.",
            )
        remarks = [f"the annotated {split} split, not the test frames of Eigen et al. (no {EIGEN_LISTS[0]})"]
        if absent:
            remarks.append(f"{absent:,} of {len(maps):,} depth maps have no photograph and are left out")
        return Frames(found.images, found.depths, found.strata, tuple(remarks))
    return None


def _add(found: Frames, root: Path, drive: str, depth: Path) -> bool:
    """Put a depth map and its photograph to the frames; whether there is a photograph."""
    photograph = _raw(root, drive, depth)
    if photograph is None:
        return False
    key = f"{drive}/{depth.parent.name}/{depth.stem}"
    found.images[key], found.depths[key], found.strata[key] = photograph, depth, drive
    return True


def _depth_maps(root: Path, split: str) -> Iterator[tuple[str, Path]]:
    """Drive and depth map, in order."""
    for drive in sorted(path for path in (root / split).glob("*_sync") if path.is_dir()):
        for camera in _CAMERAS:
            for depth in sorted((drive / "proj_depth" / "groundtruth" / camera).glob("*.png")):
                yield drive.name, depth


def _depth_map(root: Path, drive: str, camera: str, frame: str) -> Path | None:
    inside = Path(drive, "proj_depth", "groundtruth", camera, f"{frame}.png")
    return next((path for split in _SPLITS if (path := root / split / inside).is_file()), None)


def _raw(root: Path, drive: str, depth: Path) -> Path | None:
    """The photograph of a depth map: ``2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000005.png``."""
    for base in (root, root / "raw"):
        for suffix in (".png", ".jpg"):
            path = base / drive[:10] / drive / depth.parent.name / "data" / f"{depth.stem}{suffix}"
            if path.is_file():
                return path
    return None
