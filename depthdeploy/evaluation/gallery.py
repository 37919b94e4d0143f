"""Which photographs a report shows: the worst and evenly spaced ones, kept in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.gallery import GalleryItem
from depthdeploy.imaging.geometry import geometry

#: The longest side of a photograph in the gallery, pixels.
SIDE = 400


@dataclass(frozen=True, slots=True)
class Kept:
    """A photograph in the gallery, before its maps are brought to the photograph's pixels.

    Attributes:
        photo: its id.
        image: the photograph shrunk, ``[H, W, 3]`` uint8.
        maps: candidate -> prediction at the network's resolution, ``[h, w]`` float32; the reference first.
    """

    photo: str
    image: NDArray[np.uint8]
    maps: Mapping[str, NDArray[np.float32]]

    def shown(self, contract: InputContract, depth: DepthContract, why: str) -> GalleryItem:
        """The maps on the shrunk photograph's pixels, NaN where the network did not look."""
        frame = geometry(contract, height=self.image.shape[0], width=self.image.shape[1])
        maps: dict[str, NDArray[np.float32]] = {}
        for name, prediction in self.maps.items():
            placed, seen = frame.to_original(prediction)
            maps[name] = np.where(seen, placed, np.float32(np.nan))
        unit = "m" if depth.kind is DepthKind.METRIC_DEPTH else ""
        return GalleryItem(self.photo, self.image, maps, depth.kind.nearer_is_larger, unit, why)


@dataclass(slots=True)
class Gallery:
    """Half the places for the photographs with the lowest scores, the others evenly spaced over all that came.

    Attributes:
        places: how many photographs are shown at most.
    """

    places: int
    _worst: list[tuple[float, int, Kept]] = field(default_factory=list)
    _even: dict[int, Kept] = field(default_factory=dict)
    _stride: int = 1
    _seen: int = 0

    def offer(
        self, photo: str, image: NDArray[np.uint8], maps: Mapping[str, NDArray[np.float32]], score: float | None
    ) -> None:
        """The next photograph; it is copied only when it is kept.

        Args:
            photo: its id.
            image: ``[H, W, 3]`` uint8.
            maps: candidate -> prediction, the reference first.
            score: higher is better; ``None`` when there is nothing to compare.
        """
        index = self._seen
        self._seen += 1
        bad = score is not None and self._is_among_worst(score)
        if not self.places or not (bad or index % self._stride == 0):
            return
        kept = Kept(photo, thumbnail(image), dict(maps))
        if bad and score is not None:
            push = heapq.heappush if len(self._worst) < self.places // 2 else heapq.heapreplace
            push(self._worst, (-score, -index, kept))
        if index % self._stride == 0:
            self._even[index] = kept
            if len(self._even) > 2 * self.places:
                self._stride *= 2
                self._even = {place: one for place, one in self._even.items() if place % self._stride == 0}

    def _is_among_worst(self, score: float) -> bool:
        room = self.places // 2
        return len(self._worst) < room or (room > 0 and -score > self._worst[0][0])

    def items(self, contract: InputContract, depth: DepthContract) -> tuple[GalleryItem, ...]:
        """The worst ones first, then the evenly spaced ones in order."""
        worst = sorted(self._worst, key=lambda entry: (-entry[0], -entry[1]))
        shown = {-index for _, index, _ in worst}
        others = [kept for index, kept in self._even.items() if index not in shown]
        free = min(self.places - len(worst), len(others))
        chosen = [others[round(place)] for place in np.linspace(0, len(others) - 1, free)] if free else []
        return (
            *(
                kept.shown(contract, depth, f"place {place} of the lowest SQNR, {-score:.1f} dB")
                for place, (score, _, kept) in enumerate(worst, 1)
            ),
            *(kept.shown(contract, depth, "one of an even choice") for kept in chosen),
        )


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy whose longest side is at most ``SIDE`` pixels, ``[H, W, 3]`` uint8."""
    height, width = image.shape[:2]
    shrink = max(height, width) / SIDE
    if shrink <= 1:
        return image.copy()
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    # reducing_gap: large photographs are first shrunk by a whole factor, which is several times faster
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
