"""The estimate as an SVG picture: a roofline with every layer, and the slowest layers as bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from depthdeploy.core.latency import LatencyEstimate, LayerEstimate
from depthdeploy.core.performance import OperatorClass

_WIDTH: Final = 960
_LEFT, _RIGHT, _TOP, _ROOF = 84.0, 930.0, 112.0, 330.0
_BAR, _GAP = 16.0, 6.0
_BAR_LEFT, _BAR_WIDTH = 330.0, 350.0
_COUNT: Final = 15

#: Distinct for the colour-blind (Okabe and Ito 2008), dark enough on white and light enough on black.
_COLORS: Final[Mapping[OperatorClass, str]] = {
    OperatorClass.CONV: "#0072b2",
    OperatorClass.DEPTHWISE: "#56a8d9",
    OperatorClass.MATMUL: "#d55e00",
    OperatorClass.ELEMENTWISE: "#009e73",
    OperatorClass.RESIZE: "#c0609a",
    OperatorClass.NORMALIZE: "#b58900",
    OperatorClass.MOVE: "#808080",
}

_STYLE: Final = """
svg { background: #ffffff; font: 13px system-ui, "DejaVu Sans", sans-serif; }
text { fill: #202020; } .pale { fill: #5c5c5c; } .title { font-size: 16px; font-weight: 600; }
.grid { stroke: #e2e2e2; } .axis { stroke: #202020; } .roof { stroke: #202020; stroke-width: 2; fill: none; }
.dot { stroke: #ffffff; stroke-width: 0.6; fill-opacity: 0.85; }
@media (prefers-color-scheme: dark) {
  svg { background: #16181c; } text { fill: #ececec; } .pale { fill: #a8a8a8; }
  .grid { stroke: #34373d; } .axis, .roof { stroke: #ececec; } .dot { stroke: #16181c; }
}
"""


def layer_chart(estimate: LatencyEstimate, title: str = "") -> str:
    """A whole SVG document; the same estimate gives the same text.

    Args:
        estimate: of one network on one chip.
        title: the network's name.
    """
    slowest = estimate.slowest(_COUNT)
    drawn = _drawn(estimate)
    top = _TOP + (_ROOF + 84 if drawn else 40)
    height = top + len(slowest) * (_BAR + _GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">',
        f"<title>{escape(_heading(estimate, title))}</title>",
        f"<style>{_STYLE}</style>",
        _text(16, 26, _heading(estimate, title), cls="title"),
        _text(16, 46, _subtitle(estimate), cls="pale"),
        *_legend(estimate),
        *(_roofline(estimate, drawn) if drawn else _no_roofline()),
        *_bars(estimate, slowest, top),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _heading(estimate: LatencyEstimate, title: str) -> str:
    name = f"{title} on {estimate.title}" if title else estimate.title
    return f"Estimate, not measured: {name}, {estimate.precision}"


def _subtitle(estimate: LatencyEstimate) -> str:
    share = "" if estimate.concurrent == 1.0 else f", {estimate.concurrent:.0%} of the chip"
    loading = f", of which {estimate.reload_ms:.3g} ms load its parts in turn" if estimate.reload_ms else ""
    return (
        f"{estimate.predicts} {estimate.ms:.3g} ms, between {estimate.lower_ms:.3g} and {estimate.upper_ms:.3g} ms"
        f"{loading}{share}; peak {estimate.peak_gops:,.0f} Gop/s, {estimate.bandwidth_gb_per_s:g} GB/s"
    )


def _legend(estimate: LatencyEstimate) -> list[str]:
    parts, x = [], 16.0
    for kind, share in estimate.share_by_class().items():
        if share < 0.005:
            continue
        label = f"{kind.value} {share:.0%}"
        parts += [f'<rect x="{x:.1f}" y="60" width="11" height="11" fill="{_COLORS[kind]}"/>', _text(x + 16, 70, label)]
        x += 34 + 7.4 * len(label)
    return parts


def _drawn(estimate: LatencyEstimate) -> list[LayerEstimate]:
    """Layers that have a place in a roofline: they compute, and move data through the memory outside the chip."""
    return [layer for layer in estimate.layers if layer.operations and layer.moved_bytes]


def _no_roofline() -> list[str]:
    return [
        _text(16, _TOP - 12, "No layer moves data through memory outside the chip: no roofline to draw.", cls="pale")
    ]


def _roofline(estimate: LatencyEstimate, shown: Sequence[LayerEstimate]) -> list[str]:
    """Attained rate over intensity, both on logarithmic scales, below the two roofs."""
    inside = sum(bool(layer.operations) and not layer.moved_bytes for layer in estimate.layers)
    ridge = estimate.peak_gops / estimate.bandwidth_gb_per_s
    xs = _decades([*(layer.intensity for layer in shown), ridge])
    ys = _decades([*map(_rate, shown), estimate.peak_gops])

    def at(x: float, y: float) -> tuple[float, float]:
        return _place(x, xs, _LEFT, _RIGHT), _place(y, ys, _TOP + _ROOF, _TOP)

    start = max(10.0 ** xs[0], 10.0 ** ys[0] / estimate.bandwidth_gb_per_s)
    roof = [
        (start, start * estimate.bandwidth_gb_per_s),
        (ridge, estimate.peak_gops),
        (10.0 ** xs[1], estimate.peak_gops),
    ]
    points = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in roof)
    slowest = max(layer.ms for layer in shown)
    dots = [_dot(layer, at(layer.intensity, _rate(layer)), slowest) for layer in shown]
    note = f"; {inside} layers stay on the chip and are not drawn" if inside else ""
    return [
        *_grid(xs, ys),
        f'<polyline class="roof" points="{points}"/>',
        *dots,
        _text(_RIGHT, _TOP + _ROOF + 38, f"operations per byte{note}", anchor="end"),
        _text(16, _TOP - 16, "Gop/s reached; the line is the published peak; a dot's area is its share of the time"),
    ]


def _dot(layer: LayerEstimate, at: tuple[float, float], slowest: float) -> str:
    radius = 2.5 + 8.0 * math.sqrt(layer.ms / slowest)
    label = escape(f"{layer.name}: {layer.ms:.3g} ms, waits for {layer.bound.value}")
    return (
        f'<circle class="dot" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:.1f}" fill="{_COLORS[layer.kind]}">'
        f"<title>{label}</title></circle>"
    )


def _rate(layer: LayerEstimate) -> float:
    return layer.operations / layer.ms / 1e6


def _grid(xs: tuple[int, int], ys: tuple[int, int]) -> list[str]:
    parts, bottom = [], _TOP + _ROOF
    for power in range(xs[0], xs[1] + 1):
        x = _place(10.0**power, xs, _LEFT, _RIGHT)
        parts += [_line(x, _TOP, x, bottom, "grid"), _text(x, bottom + 18, _power(power), anchor="middle")]
    for power in range(ys[0], ys[1] + 1):
        y = _place(10.0**power, ys, bottom, _TOP)
        parts += [_line(_LEFT, y, _RIGHT, y, "grid"), _text(_LEFT - 8, y + 4, _power(power), anchor="end")]
    return [*parts, _line(_LEFT, bottom, _RIGHT, bottom, "axis"), _line(_LEFT, _TOP, _LEFT, bottom, "axis")]


def _bars(estimate: LatencyEstimate, slowest: Sequence[LayerEstimate], top: float) -> Iterable[str]:
    if not slowest:
        return
    total = sum(layer.ms for layer in estimate.layers) or 1.0
    yield _text(16, top - 12, f"The {len(slowest)} slowest layers, estimated")
    for index, layer in enumerate(slowest):
        y = top + index * (_BAR + _GAP)
        width = _BAR_WIDTH * layer.ms / (slowest[0].ms or 1.0)
        label = f"{layer.ms:.3g} ms, {layer.ms / total:.1%}, {layer.bound.value}" + (
            ", slow unit" if layer.slow else ""
        )
        yield _text(_BAR_LEFT - 8, y + 13, _short(f"{layer.name} ({layer.operator})"), anchor="end")
        yield f'<rect x="{_BAR_LEFT}" y="{y:.1f}" width="{width:.1f}" height="{_BAR}" fill="{_COLORS[layer.kind]}"/>'
        yield _text(_BAR_LEFT + width + 8, y + 13, label, cls="pale")


def _short(name: str, limit: int = 42) -> str:
    return name if len(name) <= limit else f"…{name[-limit + 1 :]}"


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(values)) - 0.05)
    return low, max(low + 1, math.ceil(math.log10(max(values)) + 0.05))


def _place(value: float, decades: tuple[int, int], start: float, end: float) -> float:
    return start + (math.log10(value) - decades[0]) / (decades[1] - decades[0]) * (end - start)


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -3 <= power < 6 else f"1e{power}"


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> str:
    return f'<line class="{cls}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, *, cls: str = "", anchor: str = "start") -> str:
    name = f' class="{cls}"' if cls else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
