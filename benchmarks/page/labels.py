"""Where the names of points stand, so that none covers another name, a point, or leaves the sheet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Rings around a point, in pixels, on which a name is tried; the nearest free place is taken.
_REACHES = (0.0, 6.0, 14.0, 24.0, 36.0, 50.0, 66.0, 84.0, 104.0, 128.0)
_DIRECTIONS = 16


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, ``y`` downward."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


def around(point: tuple[float, float], reach: float) -> Box:
    """The square of a point's mark."""
    return Box(point[0] - reach, point[1] - reach, point[0] + reach, point[1] + reach)


def placed(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], sheet: Box, mark: float = 7.0
) -> tuple[Box, ...]:
    """A place for every point's name.

    Args:
        points: in pixels.
        sizes: width and height of the names, pixels.
        sheet: what the names stay within.
        mark: half a side of a point's mark with some air, pixels.

    Returns:
        One box per point. Where a name finds no free place it stands at the right of its point.
    """
    taken = [around(point, mark) for point in points]
    found: dict[int, Box] = {}
    crowded = sorted(range(len(points)), key=lambda index: -_neighbours(points, index))
    for index in crowded:
        tries = list(_tries(points[index], sizes[index], mark))
        free = (box for box in tries if box.within(sheet) and not any(box.meets(other) for other in taken))
        found[index] = next(free, tries[0])
        taken.append(found[index])
    return tuple(found[index] for index in range(len(points)))


def _neighbours(points: Sequence[tuple[float, float]], index: int) -> int:
    return sum(math.dist(points[index], other) < 80.0 for other in points)


def _tries(point: tuple[float, float], size: tuple[float, float], mark: float) -> Iterator[Box]:
    """Right, left, above, below, then all around, ever farther."""
    width, height = size
    for reach in _REACHES:
        for turn in sorted(range(_DIRECTIONS), key=_preference):
            angle = 2.0 * math.pi * turn / _DIRECTIONS
            across, up = math.cos(angle), math.sin(angle)
            x = point[0] + across * (mark + reach + width / 2)
            y = point[1] - up * (mark + reach + height / 2)
            yield Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _preference(turn: int) -> int:
    """Level with the point first, then above and below."""
    quarter = _DIRECTIONS // 4
    return (turn % (2 * quarter) != 0) + (turn % quarter != 0)
