"""Photographs in files, with or without depth maps and annotated pairs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy.plugin import (
    CalibrationError,
    DepthRange,
    Photo,
    PointPair,
    UsageError,
    digest_of,
    sha256_bytes,
)
from depthdeploy_calibration.inspection import ImagePath


@dataclass(frozen=True, slots=True)
class DepthFiles:
    """16-bit depth maps in PNG files.

    Attributes:
        files: photograph's id -> its depth map.
        per_metre: what one metre is in the files: 1000 for millimetres, 256 for KITTI.
        range: which depths are scored.
    """

    files: Mapping[str, Path]
    per_metre: float
    range: DepthRange


@dataclass(frozen=True, slots=True)
class FileSet:
    """Photographs in files: the data sets' common form.

    Attributes:
        name: for reports.
        photos: every photograph, in order.
        images: id -> file.
        measured: the depth maps, where there are some.
        annotations: id -> pairs.
        remarks: what a report must say.
    """

    name: str
    photos: tuple[Photo, ...]
    images: Mapping[str, ImagePath]
    measured: DepthFiles | None = None
    annotations: Mapping[str, tuple[PointPair, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def depth_range(self) -> DepthRange | None:
        """How measured depth is scored; ``None`` when there is none."""
        return self.measured.range if self.measured else None

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        """The photograph, ``[H, W, 3]`` uint8 RGB, upright.

        Raises:
            CalibrationError: it cannot be decoded; the message names it.
        """
        from depthdeploy.plugin import decode_image  # brings Pillow, which listing data sets does not need

        # An archive is read through the same interface as a folder.
        return decode_image(self.images[photo.id])

    def depth(self, photo: Photo) -> NDArray[np.float32] | None:
        """Measured depth in metres, ``[H, W]`` float32, 0 where there is none; ``None`` without measurement.

        Raises:
            CalibrationError: the depth map cannot be decoded, or is not 16-bit grey.
        """
        if self.measured is None or photo.id not in self.measured.files:
            return None
        raw = _read_depth(self.measured.files[photo.id])
        return raw.astype(np.float32) / np.float32(self.measured.per_metre)

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        """Annotated point pairs; empty without annotation."""
        return self.annotations.get(photo.id, ())

    def labels_digest(self, photo: Photo) -> str:
        """SHA-256 of the depth map's bytes, its unit and range, and the pairs; empty without labels.

        Raises:
            CalibrationError: the depth map cannot be read.
        """
        measured = self.measured if self.measured and photo.id in self.measured.files else None
        pairs = self.pairs(photo)
        if measured is None and not pairs:
            return ""
        depth = measured and (_file_digest(measured.files[photo.id]), measured.per_metre, measured.range)
        return digest_of({"depth": depth, "pairs": pairs})


def set_name(plugin: str, argument: str) -> str:
    """``folder:photos`` for an argument ``/data/photos/``: reports carry no host's paths."""
    return f"{plugin}:{Path(argument).resolve().name}" if argument else plugin


def required_root(argument: str, data_root: Path | None, *, plugin: str, source: str) -> Path:
    """The folder or file of a data set: the argument, or else ``--data-root``.

    Args:
        argument: what stands after the colon.
        data_root: the folder given by ``--data-root``.
        plugin: the data set's id.
        source: where the data set is from, its licence and its size.

    Raises:
        UsageError: neither is given.
        CalibrationError: the place does not exist.
    """
    root = Path(argument).expanduser() if argument else data_root
    if root is None:
        raise UsageError(
            f"{plugin} is not part of depthdeploy, and no folder is given that holds it.",
            f"Give --data-root DIR, or {plugin}:DIR. {source}",
        )
    if not root.exists():
        raise CalibrationError(f"{root} does not exist.", f"Give the place of {plugin}. {source}")
    return root


def _file_digest(path: Path) -> str:
    try:
        return sha256_bytes(path.read_bytes())
    except OSError as cause:
        raise CalibrationError(f"{path} cannot be read: {cause.strerror or cause}.", "Replace it.") from cause


def _read_depth(path: Path) -> NDArray[np.uint16]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            if not image.mode.startswith("I;16"):
                raise CalibrationError(
                    f"{path} is not a depth map: 16-bit grey is needed, it is {image.mode}.", "Replace it."
                )
            return np.asarray(image).astype(np.uint16)
    except (OSError, SyntaxError, ValueError) as cause:
        raise CalibrationError(f"{path} cannot be decoded: {cause}.", "Replace it.") from cause
