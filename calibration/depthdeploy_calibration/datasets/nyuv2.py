"""``nyuv2``: NYU Depth v2, indoor scenes with Kinect depth, as the labelled ``.mat`` file or as folders of frames.

Silberman et al. 2012; the crop and the split are those of Eigen et al. 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from depthdeploy.plugin import CalibrationError, DepthRange, PhotoSet
from depthdeploy_calibration.file_set import required_root
from depthdeploy_calibration.nyu_labeled import open_labeled
from depthdeploy_calibration.rgbd import open_rgbd, rgbd_folder

#: The name of the published file.
LABELED: Final = "nyu_depth_v2_labeled.mat"
#: Depth maps of frames hold millimetres; 0 is no measurement.
PER_METRE: Final = 1000.0
#: Frames of any source: the sensor's range, no crop, as the crop belongs to the labelled set's undistorted frames.
SCORED: Final = DepthRange(near=0.1, far=10.0)

_SOURCE: Final = (
    "NYU Depth v2 is at https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html (research only): "
    f"{LABELED}, 2.8 GB, and splits.mat for the official test split."
)


@dataclass(frozen=True, slots=True)
class NyuV2:
    """The labelled ``.mat`` file, or ``rgb/`` and ``depth/`` folders with depth in millimetres."""

    id: str = "nyuv2"
    title: str = "NYU Depth v2: indoor scenes with Kinect depth (2.8 GB, research only)"
    usage: str = f"nyuv2 with --data-root DIR, or nyuv2:DIR; DIR holds {LABELED}, or rgb/ and depth/"

    def open(self, argument: str, data_root: Path | None) -> PhotoSet:
        """Find the frames: of the ``.mat`` file the official test split, where it lies beside.

        Raises:
            UsageError: no folder is given.
            ToolchainMissing: the ``.mat`` file is there, h5py is not.
            CalibrationError: nothing of either form is there, or files are damaged.
        """
        place = required_root(argument, data_root, plugin=self.id, source=_SOURCE)
        candidates = (
            [place] if place.is_file() else [place / LABELED, place / "nyuv2" / LABELED, place / "nyu" / LABELED]
        )
        labeled = next((path for path in candidates if path.is_file()), None)
        if labeled is not None:
            return open_labeled(labeled, name=self.id)
        folder = rgbd_folder(place, names=("nyuv2", "nyu"))
        if folder is None:
            raise CalibrationError(f"{place} holds neither {LABELED} nor rgb/ and depth/.", _SOURCE)
        remark = "frames from a folder, scored without a crop: not the official test split"
        return open_rgbd(folder, name=self.id, per_metre=PER_METRE, scored=SCORED, remarks=(remark,))


plugin = NyuV2()
