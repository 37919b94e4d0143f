"""``kitti``: KITTI's street scenes with annotated (accumulated LiDAR) depth.

Uhrig et al. 2017, "Sparsity Invariant CNNs"; the crop is that of Garg et al. 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from depthdeploy.plugin import CalibrationError, DepthRange
from depthdeploy_calibration.file_set import DepthFiles, FileSet, required_root
from depthdeploy_calibration.kitti_trees import Frames, annotated_frames, eigen_frames, selected_frames
from depthdeploy_calibration.rgbd import open_rgbd, paired_set, rgbd_folder

#: Depth maps hold metres times 256; 0 is no measurement.
PER_METRE: Final = 256.0
#: The usual protocol: 80 m cap, a guard of a millimetre, the crop of Garg et al.
SCORED: Final = DepthRange(near=0.001, far=80.0, crop="garg")
#: The selected frames are cut already.
SCORED_WHOLE: Final = DepthRange(near=0.001, far=80.0)

_SOURCE: Final = (
    "KITTI is at https://www.cvlibs.net/datasets/kitti (CC BY-NC-SA 3.0): data_depth_annotated.zip (14 GB) with the "
    "raw drives, or data_depth_selection.zip (2 GB)."
)


@dataclass(frozen=True, slots=True)
class Kitti:
    """``rgb/`` and ``depth/`` folders, or what KITTI publishes, unpacked in one place."""

    id: str = "kitti"
    title: str = "KITTI street scenes with annotated depth (CC BY-NC-SA 3.0, non-commercial)"
    usage: str = (
        "kitti with --data-root DIR, or kitti:DIR; DIR holds rgb/ and depth/, or depth_selection/, or val/, train/ and "
        "the raw drives"
    )

    def open(self, argument: str, data_root: Path | None) -> FileSet:
        """Find photographs and depth maps: Eigen's test frames where their list is, otherwise the ``val`` split.

        Raises:
            UsageError: no folder is given.
            CalibrationError: nothing of any form is there, or files are missing or damaged.
        """
        place = required_root(argument, data_root, plugin=self.id, source=_SOURCE)
        folder = rgbd_folder(place, names=("kitti", "KITTI"))
        if folder is not None:
            return open_rgbd(folder, name=self.id, per_metre=PER_METRE, scored=SCORED)
        for root in (place, place / "kitti", place / "KITTI"):
            if (frames := eigen_frames(root) or annotated_frames(root)) is not None:
                return self._set(frames, SCORED, root)
            if (frames := selected_frames(root)) is not None:
                return self._set(frames, SCORED_WHOLE, root)
        raise CalibrationError(
            f"{place} holds neither rgb/ and depth/ nor val/DRIVE/proj_depth/groundtruth/image_02/.", _SOURCE
        )

    def _set(self, frames: Frames, scored: DepthRange, root: Path) -> FileSet:
        measured = DepthFiles(frames.depths, PER_METRE, scored)
        return paired_set(
            frames.images, measured, name=self.id, place=root, strata=frames.strata, remarks=frames.remarks
        )


plugin = Kitti()
