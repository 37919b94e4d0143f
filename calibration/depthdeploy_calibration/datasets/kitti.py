"""``kitti``: KITTI's street scenes with annotated (accumulated LiDAR) depth.

Uhrig et al. 2017, "Sparsity Invariant CNNs"; the crop is that of Garg et al. 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from depthdeploy.plugin import CalibrationError, DepthRange
from depthdeploy_calibration.file_set import DepthFiles, FileSet, required_root
from depthdeploy_calibration.rgbd import open_rgbd, paired_set, rgbd_folder

#: Depth maps hold metres times 256; 0 is no measurement.
PER_METRE: Final = 256.0
#: The usual protocol: 80 m cap, a guard of a millimetre, the crop of Garg et al.
SCORED: Final = DepthRange(near=0.001, far=80.0, crop="garg")

_SOURCE: Final = (
    "KITTI is at https://www.cvlibs.net/datasets/kitti (CC BY-NC-SA 3.0): data_depth_annotated.zip (14 GB), and the "
    "raw drives of its val split."
)
_SPLITS: Final = ("val", "train")
_CAMERAS: Final = ("image_02", "image_03")


@dataclass(frozen=True, slots=True)
class Kitti:
    """``rgb/`` and ``depth/`` folders, or the official trees of annotated depth and raw drives in one place."""

    id: str = "kitti"
    title: str = "KITTI street scenes with annotated depth (CC BY-NC-SA 3.0, non-commercial)"
    usage: str = "kitti with --data-root DIR, or kitti:DIR; DIR holds rgb/ and depth/, or val/ and the raw drives"

    def open(self, argument: str, data_root: Path | None) -> FileSet:
        """Find photographs and depth maps; of the official tree the ``val`` split, or ``train`` where it is alone.

        Raises:
            UsageError: no folder is given.
            CalibrationError: nothing of either form is there, or files are damaged.
        """
        place = required_root(argument, data_root, plugin=self.id, source=_SOURCE)
        folder = rgbd_folder(place, names=("kitti", "KITTI"))
        if folder is not None:
            return open_rgbd(folder, name=self.id, per_metre=PER_METRE, scored=SCORED)
        for root in (place, place / "kitti", place / "KITTI"):
            for split in _SPLITS:
                maps = list(_depth_maps(root, split))
                if maps:
                    return _official(root, split, maps, name=self.id)
        raise CalibrationError(
            f"{place} holds neither rgb/ and depth/ nor val/DRIVE/proj_depth/groundtruth/image_02/.", _SOURCE
        )


def _depth_maps(root: Path, split: str) -> Iterator[tuple[str, Path]]:
    """Drive and depth map, in order."""
    for drive in sorted(path for path in (root / split).glob("*_sync") if path.is_dir()):
        for camera in _CAMERAS:
            for depth in sorted((drive / "proj_depth" / "groundtruth" / camera).glob("*.png")):
                yield drive.name, depth


def _official(root: Path, split: str, maps: list[tuple[str, Path]], *, name: str) -> FileSet:
    images: dict[str, Path] = {}
    depths: dict[str, Path] = {}
    strata: dict[str, str] = {}
    for drive, depth in maps:
        photograph = _raw(root, drive, depth)
        if photograph is not None:
            key = f"{drive}/{depth.parent.name}/{depth.stem}"
            images[key], depths[key], strata[key] = photograph, depth, drive
    if not images:
        raise CalibrationError(
            f"{root} holds {len(maps):,} depth maps of {split}, and none of their photographs.",
            f"Unpack the raw drives there, as DATE/DRIVE/image_02/data/FRAME.png. {_SOURCE}",
        )
    remarks = [f"the annotated {split} split, not the 697 (652) frames of Eigen et al."]
    if len(images) < len(maps):
        remarks.append(f"{len(maps) - len(images):,} of {len(maps):,} depth maps have no photograph and are left out")
    measured = DepthFiles(depths, PER_METRE, SCORED)
    return paired_set(images, measured, name=name, place=root, strata=strata, remarks=tuple(remarks))


def _raw(root: Path, drive: str, depth: Path) -> Path | None:
    """The photograph of a depth map: ``2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000005.png``."""
    for base in (root, root / "raw"):
        for suffix in (".png", ".jpg"):
            path = base / drive[:10] / drive / depth.parent.name / "data" / f"{depth.stem}{suffix}"
            if path.is_file():
                return path
    return None


plugin = Kitti()
