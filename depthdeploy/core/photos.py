"""Photographs with or without depth, as ordered sets of values: what calibration and evaluation read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.digest import digest_of


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph of a set.

    Attributes:
        id: unique in its set, stable: a relative path, a frame's number.
        digest: SHA-256 of its content (the file's bytes; for rendered or packed images, of the pixels' recipe).
        stratum: what sampling balances over: a scene type, a folder; empty when there is none.
    """

    id: str
    digest: str
    stratum: str = ""


@dataclass(frozen=True, slots=True)
class PointPair:
    """Two points of a photograph and which is closer (the DA-2K format).

    Attributes:
        closer: ``(row, column)`` of the closer point on the original photograph.
        farther: ``(row, column)`` of the other one.
    """

    closer: tuple[int, int]
    farther: tuple[int, int]


@dataclass(frozen=True, slots=True)
class DepthRange:
    """The depths in metres that a data set's protocol scores, and the crop it scores in.

    Attributes:
        near: the smallest valid depth.
        far: the largest valid depth.
        crop: ``none``, ``eigen-nyu``, ``eigen-kitti`` or ``garg``.
    """

    near: float
    far: float
    crop: str = "none"


@runtime_checkable
class PhotoSet(Protocol):
    """Photographs in a deterministic order, read one at a time; safe to read from several threads."""

    @property
    def name(self) -> str:
        """For reports: ``folder:photos``, ``da2k``."""

    @property
    def photos(self) -> tuple[Photo, ...]:
        """Every photograph, in order."""

    @property
    def depth_range(self) -> DepthRange | None:
        """How measured depth is scored; ``None`` when there is none."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a report must say about the set: counts that differ from the official ones, files left out."""

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        """The photograph, ``[H, W, 3]`` uint8 RGB, upright.

        Raises:
            CalibrationError: it cannot be decoded; the message names it.
        """

    def depth(self, photo: Photo) -> NDArray[np.float32] | None:
        """Measured depth in metres, ``[H, W]`` float32, 0 where there is none; ``None`` without measurement."""

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        """Annotated point pairs; empty without annotation."""

    def labels_digest(self, photo: Photo) -> str:
        """SHA-256 of what ``depth``, ``pairs`` and ``depth_range`` say of a photograph; empty without labels.

        With :attr:`Photo.digest` it tells whether a stored score still holds. Cheap: files are hashed, not decoded.

        Raises:
            CalibrationError: a depth file cannot be read; the message names it.
        """


@runtime_checkable
class DatasetPlugin(Protocol):
    """A data set that can be named after ``--calib`` and ``--eval``."""

    @property
    def id(self) -> str:
        """The name on the command line."""

    @property
    def title(self) -> str:
        """One line for ``depthdeploy calibrations``."""

    @property
    def usage(self) -> str:
        """How it is named: ``folder:PATH``, ``da2k`` with ``--data-root DIR``."""

    def open(self, argument: str, data_root: Path | None) -> PhotoSet:
        """Find and list the photographs; decode none.

        Args:
            argument: what stands after the colon, empty when nothing does.
            data_root: the folder given by ``--data-root``.

        Raises:
            UsageError: an argument or folder that is needed is missing.
            CalibrationError: nothing is there, or files are damaged; all of them are named.
        """


@dataclass(frozen=True, slots=True)
class Selection:
    """Which photographs of a set are used, and how they were chosen.

    Attributes:
        dataset: the set's name.
        photos: the chosen ones, in the set's order.
        seed: of the sampling.
        available: how many there were to choose from.
        purpose: ``calibration`` or ``evaluation``.
    """

    dataset: str
    photos: tuple[Photo, ...]
    seed: int
    available: int
    purpose: str

    @property
    def digest(self) -> str:
        """The digest of the chosen contents, in order."""
        return digest_of([photo.digest for photo in self.photos])

    @property
    def strata(self) -> Mapping[str, int]:
        """Stratum -> how many were chosen."""
        counts: dict[str, int] = {}
        for photo in self.photos:
            counts[photo.stratum] = counts.get(photo.stratum, 0) + 1
        return counts
