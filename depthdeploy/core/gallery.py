"""Photographs with their depth maps, small enough to keep: what a report's figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One photograph, what the reference sees in it and what the candidates see.

    Attributes:
        photo: the photograph's id.
        image: the photograph shrunk, ``[H, W, 3]`` uint8 RGB.
        maps: candidate -> prediction in the network's own units on the same pixels, ``[H, W]`` float32, NaN where the
            network did not look (a resize rule that crops); the reference first.
        nearer_is_larger: whether a nearer point has the larger prediction.
        unit: ``m`` for metric depth, empty otherwise.
        why: why this photograph is shown.
    """

    photo: str
    image: NDArray[np.uint8]
    maps: Mapping[str, NDArray[np.float32]]
    nearer_is_larger: bool
    unit: str
    why: str
