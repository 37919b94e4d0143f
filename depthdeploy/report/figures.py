"""Photograph, FP32 map, candidate maps and their errors side by side, as PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from depthdeploy.core.gallery import GalleryItem
from depthdeploy.report.colors import ember, painted, tide

#: The end of the error panel's colour bar, percent of the FP32 map's range.
ERROR_END: Final = 10.0

#: The box that a panel's picture is fitted into, pixels.
_BOX: Final = 320
_NARROWEST: Final = 250
_MARGIN: Final = 10
_LINE: Final = 20
_BAR: Final = 12
_INK: Final = (20, 20, 20)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of a report.

    Attributes:
        path: from the report's folder, ``maps/00-name.png``.
        caption: what it shows, with the errors in numbers.
        png: the file.
    """

    path: str
    caption: str
    png: bytes


@dataclass(frozen=True, slots=True)
class _Panel:
    """A picture with a line above it and, where it has one, a colour bar below it."""

    title: str
    pixels: NDArray[np.uint8]
    bar: NDArray[np.uint8] | None = None
    ends: tuple[str, str] = ("", "")


def figures(gallery: Iterable[GalleryItem]) -> tuple[Figure, ...]:
    """One figure for each item, in order."""
    return tuple(_figure(number, item) for number, item in enumerate(gallery))


def error_map(candidate: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    """``|p - r|`` in percent of the reference's range on this photograph, without alignment.

    Args:
        candidate: ``p``, ``[H, W]``, NaN where there is none.
        reference: ``r``, ``[H, W]``.
    """
    span = float(np.nanmax(reference) - np.nanmin(reference)) or 1.0
    return 100.0 * np.abs(candidate.astype(np.float64) - reference) / span


def _figure(number: int, item: GalleryItem) -> Figure:
    stem = re.sub(r"\.\w{2,4}$", "", item.photo)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", stem)[-60:].strip("-.") or "photo"
    buffer = io.BytesIO()
    draw(item).save(buffer, "PNG")
    reference, *others = item.maps.items()
    errors = [(name, error_map(prediction, reference[1])) for name, prediction in others]
    parts = [f"{name}: error {np.nanmean(e):.2f} % on average, at most {np.nanmax(e):.1f} %" for name, e in errors]
    tail = " of the FP32 range, without alignment" if parts else ""
    caption = f"{item.photo} ({item.why}). {'; '.join(parts)}{tail}".rstrip() + ("." if parts else "")
    return Figure(f"maps/{number:02d}-{slug}.png", caption, buffer.getvalue())


def draw(item: GalleryItem) -> Image.Image:
    """The panels in a row: photograph, reference, then for each candidate its map and its error.

    Maps share one scale, the 1st to the 99th percentile of the reference; near is bright, far is dark.
    """
    names = list(item.maps)
    reference = item.maps[names[0]]
    low, high = (float(value) for value in np.nanpercentile(reference, (1, 99)))
    far, near = (low, high) if item.nearer_is_larger else (high, low)
    ends = (f"far {_number(far, item.unit)}", f"near {_number(near, item.unit)}")
    panels = [_Panel(item.photo, item.image)]
    for name in names:
        share = (item.maps[name] - far) / ((near - far) or 1.0)
        panels.append(_Panel(name, painted(share, ember()), ember(), ends))
        if name != names[0]:
            error = error_map(item.maps[name], reference)
            title = f"error: mean {np.nanmean(error):.2f} %, max {np.nanmax(error):.1f} %"
            panels.append(
                _Panel(title, painted(error / ERROR_END, tide()), tide(), ("0", f">= {ERROR_END:g} % of FP32 range"))
            )
    return _sheet(panels, item.why)


def _number(value: float, unit: str) -> str:
    return f"{value:.3g}{' ' + unit if unit else ''}"


def _sheet(panels: Sequence[_Panel], why: str) -> Image.Image:
    height, width = panels[0].pixels.shape[:2]
    scale = min(_BOX / width, _BOX / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cell = max(size[0], _NARROWEST)
    sheet = Image.new(
        "RGB",
        (_MARGIN + len(panels) * (cell + _MARGIN), 2 * _MARGIN + _LINE + size[1] + _BAR + 6 + _LINE),
        (255, 255, 255),
    )
    for place, panel in enumerate(panels):
        left = _MARGIN + place * (cell + _MARGIN)
        picture = Image.fromarray(panel.pixels).resize(size, Image.Resampling.BILINEAR)
        sheet.paste(picture, (left + (cell - size[0]) // 2, _MARGIN + _LINE))
        _write(sheet, panel.title, left, _MARGIN, cell)
        below = _MARGIN + _LINE + size[1] + 6
        if panel.bar is None:
            _write(sheet, why, left, below, cell)
        else:
            bar = Image.fromarray(panel.bar[None]).resize((cell, _BAR), Image.Resampling.NEAREST)
            sheet.paste(bar, (left, below))
            _write(sheet, panel.ends[0], left, below + _BAR, cell)
            _write(sheet, panel.ends[1], left, below + _BAR, cell, to_right=True)
    return sheet


def _write(sheet: Image.Image, text: str, left: int, top: int, width: int, *, to_right: bool = False) -> None:
    """A line of text, shortened from its front to what fits: the end of a path says more than its beginning."""
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    shown = text
    while shown and pen.textlength(shown, font=font) > width:
        shown = "..." + shown.removeprefix("...")[1:] if len(shown) > 4 else ""
    offset = width - round(pen.textlength(shown, font=font)) if to_right else 0
    pen.text((left + offset, top), shown, fill=_INK, font=font)
