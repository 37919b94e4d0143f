"""The page's charts: fidelity against seconds, memory over photographs. The look is that of the reports' charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from page.goals import MB_PER_MIB, MEMORY_MB
from page.labels import Box, placed
from page.tools import LEARNING, PER_CHANNEL, is_ours
from PIL import Image, ImageDraw, ImageFont
from quantizers.memory_rows import MemoryRow
from quantizers.rows import Row

Color = tuple[int, int, int]
Point = tuple[float, float]

_WIDTH, _HEIGHT = 960, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 62, 58

#: Drawn larger and reduced, so that slanted lines are smooth.
_FINE = 2

_INK, _GREY, _PALE = (20, 20, 20), (130, 130, 130), (226, 226, 226)
_BLUE, _RED, _ORANGE, _GREEN = (31, 89, 160), (196, 62, 40), (200, 120, 0), (30, 120, 70)
_LINES = (_BLUE, _GREEN, _ORANGE, _GREY)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: the values at its ends, marks, and whether it is logarithmic."""

    low: float
    high: float
    marks: tuple[float, ...]
    title: str
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        scale: Callable[[float], float] = math.log if self.logarithmic else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


def linear(values: Sequence[float], title: str, *, from_zero: bool = False) -> Axis:
    """Wide enough for all values, with round marks."""
    low, high = (0.0 if from_zero else min(values)), max(values)
    margin = 0.08 * ((high - low) or abs(high) or 1.0)
    low, high = low - (0.0 if from_zero else margin), high + margin
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 8)
    marks = tuple(step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1))
    return Axis(low, high, marks, title)


def logarithmic(values: Sequence[float], title: str) -> Axis:
    """Marks at 1, 2 and 5 times the powers of ten."""
    low, high = min(values) / 1.35, max(values) * 1.35
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = (factor * 10.0**power for power in powers for factor in (1, 2, 5))
    return Axis(low, high, tuple(mark for mark in marks if low <= mark <= high), title, logarithmic=True)


class _Sheet:
    """A picture with two axes."""

    def __init__(self, across: Axis, up: Axis, title: str) -> None:
        self.across, self.up = across, up
        self.picture = Image.new("RGB", (_FINE * _WIDTH, _FINE * _HEIGHT), (255, 255, 255))
        self.pen = ImageDraw.Draw(self.picture)
        self.text((_LEFT, 10), title, size=16)
        for mark in up.marks:
            self.line([(across.low, mark), (across.high, mark)], _PALE, 1)
            self.text((_LEFT - 8, self.at(across.low, mark)[1]), f"{mark:g}", anchor="rm")
        for mark in across.marks:
            place = self.at(mark, up.low)[0]
            self.line([(mark, up.low), (mark, up.high)], _PALE, 1)
            self.text((place, _HEIGHT - _BOTTOM + 7), f"{mark:,g}", anchor="mt")
        self.line([(across.low, up.low), (across.high, up.low)], _INK, 1)
        self.text((_WIDTH - _RIGHT, _HEIGHT - 10), across.title, anchor="rb")
        self.text((10, _TOP - 22), up.title)

    def at(self, x: float, y: float) -> Point:
        """Pixels of the finished picture."""
        across = _LEFT + self.across.share(x) * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - self.up.share(y) * (_HEIGHT - _TOP - _BOTTOM)

    def line(self, points: Iterable[Point], color: Color, width: int) -> None:
        self.strokes([self.at(*point) for point in points], color, width)

    def strokes(self, points: Iterable[Point], color: Color, width: int) -> None:
        """A line through points given in pixels."""
        fine = [(_FINE * x, _FINE * y) for x, y in points]
        self.pen.line(fine, fill=color, width=width * _FINE, joint="curve")

    def text(self, place: Point, text: str, *, color: Color = _INK, anchor: str = "lt", size: int = 13) -> None:
        self.pen.text((_FINE * place[0], _FINE * place[1]), text, fill=color, font=_font(size), anchor=anchor)

    def width(self, text: str) -> float:
        return self.pen.textlength(text, font=_font(13)) / _FINE

    def dot(self, place: Point, color: Color, *, hollow: bool = False, radius: float = 4.5) -> None:
        box = [_FINE * (side + way * radius) for way in (-1, 1) for side in place]
        self.pen.ellipse(box, fill=(255, 255, 255) if hollow else color, outline=color, width=2 * _FINE)

    def key(self, entries: Iterable[tuple[str, Color, bool]]) -> None:
        """What the marks mean, at the right above the axes."""
        listed = list(entries)
        left = _WIDTH - _RIGHT - sum(self.width(text) + 34 for text, _, _ in listed) + 16
        for text, color, hollow in listed:
            self.dot((left, _TOP - 16), color, hollow=hollow)
            self.text((left + 10, _TOP - 16), text, anchor="lm")
            left += self.width(text) + 34

    def names(self, points: Sequence[Point], texts: Sequence[str], colors: Sequence[Color]) -> None:
        """A name beside each point; a thin line leads to those that stand away."""
        places = [self.at(*point) for point in points]
        area = Box(_LEFT + 2, _TOP, _WIDTH - 4, _HEIGHT - _BOTTOM - 2)
        boxes = placed(places, [(self.width(text) + 4, 17.0) for text in texts], area)
        for place, box in zip(places, boxes, strict=True):
            near = (min(max(place[0], box.left), box.right), min(max(place[1], box.top), box.bottom))
            if math.dist(place, near) > 14:
                self.strokes([place, near], _GREY, 1)
        for box, text, color in zip(boxes, texts, colors, strict=True):
            self.text((box.left + 2, (box.top + box.bottom) / 2), text, color=color, anchor="lm")

    def finished(self) -> Image.Image:
        return self.picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size * _FINE)


def fidelity_picture(rows: Sequence[Row], network: str) -> Image.Image | None:
    """SQNR over seconds of every tool that the exact judge scored; none where there are fewer than two."""
    told = [
        (row.tool, row.seconds, row.sqnr_db)
        for row in rows
        if (row.network, row.judge) == (network, "exact") and row.sqnr_db is not None and row.seconds is not None
    ]
    if len(told) < 2:
        return None
    points = [(seconds, value) for _, seconds, value in told]
    across = logarithmic([point[0] for point in points], "seconds of the whole process, logarithmic")
    sheet = _Sheet(across, linear([point[1] for point in points], "SQNR, dB"), f"{network}: fidelity against time")
    sheet.key(
        (
            ("depthdeploy", _BLUE, False),
            ("peer", _RED, False),
            ("peer, grids per channel", _RED, True),
            ("peer that learns", _ORANGE, False),
        )
    )
    colors = [_color(tool) for tool, _, _ in told]
    sheet.names(points, [tool.removeprefix("ours:") for tool, _, _ in told], colors)
    for (tool, *_), point, color in zip(told, points, colors, strict=True):
        sheet.dot(sheet.at(*point), color, hollow=tool in PER_CHANNEL)
    return sheet.finished()


def _color(tool: str) -> Color:
    if is_ours(tool):
        return _BLUE
    return _ORANGE if tool in LEARNING else _RED


def memory_picture(rows: Iterable[MemoryRow]) -> Image.Image | None:
    """Peak MiB over photographs, a line per network and recipe, with the goal; none without figures."""
    curves: dict[str, list[Point]] = {}
    for row in sorted(rows, key=lambda row: row.key):
        if row.peak_mib is not None:
            curves.setdefault(f"{row.network}, {row.recipe}", []).append((row.images, row.peak_mib))
    if not curves:
        return None
    limit = MEMORY_MB / MB_PER_MIB
    counts = sorted({x for points in curves.values() for x, _ in points})
    peaks = [y for points in curves.values() for _, y in points]
    across = Axis(counts[0] / 1.2, counts[-1] * 1.2, tuple(counts), "calibration photographs, logarithmic", True)
    up = linear([*peaks, limit], "peak resident memory, MiB", from_zero=True)
    sheet = _Sheet(across, up, "Peak memory over photographs")
    sheet.line([(across.low, limit), (across.high, limit)], _RED, 2)
    left, level = sheet.at(across.low, limit)
    sheet.text((left + 8, level - 5), f"the goal: {MEMORY_MB:,g} MB ({limit:,.0f} MiB)", color=_RED, anchor="lb")
    colors = [_LINES[index % len(_LINES)] for index in range(len(curves))]
    for points, color in zip(curves.values(), colors, strict=True):
        sheet.line(points, color, 2)
        for x, y in points:
            sheet.dot(sheet.at(x, y), color)
            place = sheet.at(x, y)
            sheet.text((place[0], place[1] + 9), f"{y:,.0f}", color=color, anchor="mt")
    sheet.key((name, color, False) for name, color in zip(curves, colors, strict=True))
    return sheet.finished()
