"""Charts of what the quantizer found, as PNG: sensitivity by layer, and loss against time."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from depthdeploy.core.findings import Findings
from depthdeploy.report.figures import Figure
from depthdeploy.report.findings import worst_layers

_WIDTH: Final = 900
_HEIGHT: Final = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 44, 48

#: Drawn at twice the size and reduced, so that slanted lines are smooth.
_FINE: Final = 2

_INK: Final = (20, 20, 20)
_PALE: Final = (222, 222, 222)
_BLUE: Final = (31, 89, 160)
_RED: Final = (196, 62, 40)

#: Layers that are ringed in the chart and named below it.
_NAMED: Final = 5

#: SQNR above this is drawn at the upper edge: nothing is lost there.
_CEILING: Final = 80.0


@dataclass(frozen=True, slots=True)
class _Axes:
    """A rectangle and the values at its ends."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return (
            _FINE * (_LEFT + across * (_WIDTH - _LEFT - _RIGHT)),
            _FINE * (_HEIGHT - _BOTTOM - min(max(up, 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)),
        )


def charts(findings: Findings) -> tuple[Figure, ...]:
    """The charts for which there are figures."""
    found = []
    if findings.sensitivity:
        worst = ", ".join(f"{row.node} {row.sqnr_alone_db:.1f} dB" for row in worst_layers(findings)[:_NAMED])
        caption = (
            f"Sensitivity of every layer, in the graph's order; low is sensitive, above {_CEILING:g} dB stands at the "
            f"upper edge. Ringed: {worst}."
        )
        found.append(Figure("charts/sensitivity.png", caption, _png(sensitivity_chart(findings))))
    if len(findings.pareto) > 1:
        caption = f"SQNR against estimated time, more and more nodes in {findings.escape}; the ring is the chosen plan."
        found.append(Figure("charts/pareto.png", caption, _png(pareto_chart(findings))))
    return tuple(found)


def sensitivity_chart(findings: Findings) -> Image.Image:
    """SQNR of the network's output with one layer quantized as stems, SQNR gathered at each layer as a line."""
    rows = findings.sensitivity
    alone = [row.sqnr_alone_db for row in rows]
    gathered = [row.sqnr_accumulated_db for row in rows]
    axes = _Axes((-0.5, len(rows) - 0.5), _range([min(value, _CEILING) for value in (*alone, *gathered)]))
    picture, pen = _sheet()
    _frame(pen, axes, "layer, in the graph's order", "SQNR, dB", xs=_ticks(0, len(rows) - 1, whole=True))
    _key(pen, ((_RED, "this layer alone quantized, at the network's output"), (_BLUE, "all quantized, at this layer")))
    pen.line(
        [axes.at(index, value) for index, value in enumerate(gathered)], fill=_BLUE, width=2 * _FINE, joint="curve"
    )
    for index, value in enumerate(alone):
        top = axes.at(index, axes.y[1])
        point = axes.at(index, value)
        pen.line([top, point], fill=_RED, width=_FINE)
        _dot(pen, point, _RED)
    places = {row.node: index for index, row in enumerate(rows)}
    for row in worst_layers(findings)[:_NAMED]:
        _ring(pen, axes.at(places[row.node], row.sqnr_alone_db), _INK)
    return _reduced(picture)


def pareto_chart(findings: Findings) -> Image.Image:
    """SQNR over estimated time; the chosen plan is ringed."""
    points = findings.pareto
    costs, values = [point.cost for point in points], [min(point.sqnr_db, _CEILING) for point in points]
    axes = _Axes(_range(costs, share=0.04), _range(values))
    picture, pen = _sheet()
    _frame(pen, axes, "estimated time, relative", "SQNR, dB", xs=_ticks(*axes.x))
    steps: list[tuple[float, float]] = []
    for index, (cost, value) in enumerate(zip(costs, values, strict=True)):
        if index:
            steps.append(axes.at(cost, values[index - 1]))
        steps.append(axes.at(cost, value))
    pen.line(steps, fill=_BLUE, width=2 * _FINE)
    for index, (point, cost, value) in enumerate(zip(points, costs, values, strict=True)):
        place = axes.at(cost, value)
        _dot(pen, place, _BLUE)
        if point.chosen:
            _ring(pen, place, _RED)
        if point.chosen or index in (0, len(points) - 1):
            over = f", {point.sqnr_db:.0f} dB" if point.sqnr_db > _CEILING else ""
            _name(pen, f"{len(point.escaped)} nodes, delta1 {point.delta1:.2f} %{over}", place)
    return _reduced(picture)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _sheet() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (_FINE * _WIDTH, _FINE * _HEIGHT), (255, 255, 255))
    return picture, ImageDraw.Draw(picture)


def _reduced(picture: Image.Image) -> Image.Image:
    return picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def _range(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = share * ((high - low) or max(abs(high), 1.0))
    return low - margin, high + margin


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Some five to ten round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(((high - low) or 1.0) / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 8)
    step = max(step, 1.0) if whole else step
    return [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _frame(pen: ImageDraw.ImageDraw, axes: _Axes, across: str, up: str, *, xs: Iterable[float]) -> None:
    font = _font()
    for value in _ticks(*axes.y):
        left, level = axes.at(axes.x[0], value)
        pen.line([(left, level), axes.at(axes.x[1], value)], fill=_PALE, width=_FINE)
        pen.text((left - 8 * _FINE, level), f"{value:g}", fill=_INK, font=font, anchor="rm")
    for value in xs:
        place, bottom = axes.at(value, axes.y[0])
        pen.line([(place, bottom), (place, bottom + 5 * _FINE)], fill=_INK, width=_FINE)
        pen.text((place, bottom + 8 * _FINE), f"{value:g}", fill=_INK, font=font, anchor="mt")
    pen.line([axes.at(axes.x[0], axes.y[0]), axes.at(axes.x[1], axes.y[0])], fill=_INK, width=_FINE)
    pen.text((_FINE * (_WIDTH - _RIGHT), _FINE * (_HEIGHT - 6)), across, fill=_INK, font=font, anchor="rb")
    pen.text((_FINE * 10, _FINE * 10), up, fill=_INK, font=font, anchor="lt")


def _key(pen: ImageDraw.ImageDraw, entries: Iterable[tuple[tuple[int, int, int], str]]) -> None:
    left = float(_FINE * (_LEFT + 60))
    for color, text in entries:
        pen.rectangle([left, 12 * _FINE, left + 12 * _FINE, 22 * _FINE], fill=color)
        pen.text((left + 18 * _FINE, 10 * _FINE), text, fill=_INK, font=_font(), anchor="lt")
        left += 18 * _FINE + pen.textlength(text, font=_font()) + 24 * _FINE


def _dot(pen: ImageDraw.ImageDraw, at: tuple[float, float], color: tuple[int, int, int], radius: float = 3.5) -> None:
    reach = radius * _FINE
    pen.ellipse([at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach], fill=color)


def _ring(pen: ImageDraw.ImageDraw, at: tuple[float, float], color: tuple[int, int, int]) -> None:
    reach = 7 * _FINE
    pen.ellipse([at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach], outline=color, width=2 * _FINE)


def _name(pen: ImageDraw.ImageDraw, text: str, at: tuple[float, float]) -> None:
    """Write below a point and to its right, where no step runs; to its left where the sheet ends."""
    left = at[0] + 10 * _FINE
    if left + pen.textlength(text, font=_font()) > _FINE * (_WIDTH - 4):
        left = at[0] - 12 * _FINE - pen.textlength(text, font=_font())
    pen.text((left, at[1] + 9 * _FINE), text, fill=_INK, font=_font(), anchor="lt")


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=13 * _FINE)
