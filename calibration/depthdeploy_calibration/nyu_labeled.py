"""The labelled file of NYU Depth v2: HDF5 (MATLAB 7.3), all of its dimensions reversed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from depthdeploy.plugin import (
    CalibrationError,
    DepthRange,
    ModelError,
    Photo,
    PointPair,
    ToolchainMissing,
    digest_of,
    sha256_file,
)

if TYPE_CHECKING:
    import h5py

#: The usual protocol: 10 m cap, the sensor's near limit, the crop of Eigen et al.
SCORED: Final = DepthRange(near=0.1, far=10.0, crop="eigen-nyu")
#: Frames of the official file, and of its test split.
FRAMES, TEST_FRAMES = 1449, 654

_SPLIT_FILES: Final = ("splits.json", "splits.txt", "splits.mat")
_CROPPED_SIZE: Final = (480, 640)


@dataclass(frozen=True, slots=True)
class LabeledSet:
    """Frames of the labelled file, read on demand; the file is opened for each, so that threads share nothing.

    Attributes:
        name: for reports.
        photos: the frames, numbered from 1 as in the official split.
        file: the ``.mat`` file.
        depth_range: which depths are scored, and the crop.
        remarks: what a report must say.
    """

    name: str
    photos: tuple[Photo, ...]
    file: Path
    depth_range: DepthRange
    remarks: tuple[str, ...]

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        """The photograph, ``[480, 640, 3]`` uint8 RGB.

        Raises:
            CalibrationError: the file cannot be read.
        """
        with _opened(self.file) as content:
            stored = content["images"][int(photo.id) - 1]
        return np.ascontiguousarray(stored.transpose(2, 1, 0), dtype=np.uint8)

    def depth(self, photo: Photo) -> NDArray[np.float32]:
        """Depth in metres with holes filled in, ``[480, 640]`` float32, 0 where there is none.

        Raises:
            CalibrationError: the file cannot be read.
        """
        with _opened(self.file) as content:
            stored = content["depths"][int(photo.id) - 1]
        return np.ascontiguousarray(stored.T, dtype=np.float32)

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        """None: the set has no annotated pairs."""
        return ()

    def labels_digest(self, photo: Photo) -> str:
        """SHA-256 of the frame's digest, which is of the whole file with its depth, and of the range."""
        return digest_of({"frame": photo.digest, "range": self.depth_range})


def open_labeled(file: Path, *, name: str) -> LabeledSet:
    """The frames of the labelled file: the test split where one lies beside it, otherwise all of them.

    A split is ``splits.json`` (``{"testNdxs": [...]}``), ``splits.txt`` (numbers between blanks), or the official
    ``splits.mat`` where scipy is installed; numbers count from 1.

    Args:
        file: ``nyu_depth_v2_labeled.mat``.
        name: the set's, for reports.

    Raises:
        ToolchainMissing: h5py is not installed.
        CalibrationError: the file is damaged or of another form, or the split names frames that are not there.
    """
    with _opened(file) as content:
        frames, size = _layout(content, file)
    chosen, remarks = _split(file.parent, frames)
    if frames != FRAMES:
        remarks.append(f"{frames:,} frames, the official file has {FRAMES:,}")
    crop = "eigen-nyu" if size == _CROPPED_SIZE else "none"
    if crop == "none":
        remarks.append(f"frames of {size[0]}x{size[1]}: scored without the crop, which is defined for 480x640")
    digest = _file_digest(file, file.stat().st_size, file.stat().st_mtime_ns)
    photos = tuple(Photo(f"{number:04}", digest_of({"file": digest, "frame": number})) for number in chosen)
    return LabeledSet(name, photos, file, DepthRange(SCORED.near, SCORED.far, crop), tuple(remarks))


def _opened(file: Path) -> h5py.File:
    try:
        import h5py
    except ImportError as cause:
        raise ToolchainMissing(
            f"{file.name} is an HDF5 file, and h5py is not installed.", 'Install it: pip install "depthdeploy[nyuv2]".'
        ) from cause
    try:
        return h5py.File(file, "r")
    except OSError as cause:
        raise CalibrationError(f"{file} cannot be read: {cause}.", "Fetch it again: it may be cut short.") from cause


def _layout(content: h5py.File, file: Path) -> tuple[int, tuple[int, int]]:
    """Number of frames, and their height and width."""
    shapes = {key: tuple(content[key].shape) for key in ("images", "depths") if key in content}
    images, depths = shapes.get("images", ()), shapes.get("depths", ())
    if len(images) != 4 or images[1] != 3 or depths != (images[0], *images[2:]) or not images[0]:
        raise CalibrationError(
            f"{file} is not the labelled file: images {list(images)}, depths {list(depths)}.",
            "Give nyu_depth_v2_labeled.mat, whose images are [1449, 3, 640, 480] in HDF5's order.",
        )
    return images[0], (images[3], images[2])


def _split(folder: Path, frames: int) -> tuple[list[int], list[str]]:
    """The chosen frames' numbers from 1, and what a report must say of the choice."""
    file = next((folder / name for name in _SPLIT_FILES if (folder / name).is_file()), None)
    everything = list(range(1, frames + 1))
    if file is None:
        return everything, ["all frames: no splits.mat, splits.json or splits.txt with the test split lies beside"]
    numbers = _numbers(file)
    if numbers is None:
        return everything, ["all frames: scipy, which reads splits.mat, is not installed; splits.json would do"]
    wrong = [number for number in numbers if not 1 <= number <= frames]
    if wrong or not numbers or len(set(numbers)) < len(numbers):
        raise CalibrationError(
            f"{file} does not fit {frames:,} frames: {len(numbers)} numbers, {len(set(numbers))} different, "
            f"outside are {wrong[:10]}.",
            "It lists the test frames, counted from 1, each once.",
        )
    remarks = (
        [] if len(numbers) == TEST_FRAMES else [f"{len(numbers)} test frames, the official split has {TEST_FRAMES}"]
    )
    return sorted(numbers), remarks


def _numbers(file: Path) -> list[int] | None:
    """The test frames' numbers; ``None`` when scipy is needed and missing."""
    try:
        match file.suffix:
            case ".json":
                content = json.loads(file.read_text(encoding="utf-8"))
                return [int(number) for number in (content["testNdxs"] if isinstance(content, dict) else content)]
            case ".txt":
                return [int(number) for number in file.read_text(encoding="utf-8").split()]
            case _:
                from scipy.io import loadmat

                return [int(number) for number in loadmat(file)["testNdxs"].ravel()]
    except ImportError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as cause:
        raise CalibrationError(f"{file} lists no test frames: {cause}.", 'Write {"testNdxs": [1, 2, ...]}.') from cause


@lru_cache(maxsize=8)
def _file_digest(file: Path, size: int, changed: int) -> str:
    try:
        return sha256_file(file)
    except ModelError as cause:
        raise CalibrationError(cause.what, cause.remedy) from cause
