"""Procedural surface colours, filtered by the size of a pixel on the surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Pattern: TypeAlias = Literal[
    "plain", "checker", "stripes", "bricks", "planks", "windows", "books", "blotches", "gradient"
]
Colour: TypeAlias = tuple[float, float, float]

_TABLE: Final = 512
_LEVELS: Final = 7
_SLOPES: Final = (0.9, 1.3)


@dataclass(frozen=True, slots=True)
class Material:
    """How a surface reflects light.

    Attributes:
        pattern: Layout of the two colours.
        base: Linear RGB reflectance, 0..1.
        accent: Second linear RGB reflectance, 0..1.
        period: Size of one pattern cell along u and v, metres.
        offset: Shift of the pattern and of the noise along u and v, metres.
        grain: Strength of the multiplicative noise, 0..1.
        grain_size: Extent of the noise table along u and v, metres.
        rough: True for noise with more fine detail.
        gloss: Strength of the highlight, 0..1.
        glow: Light the surface gives off by itself, 0 for none.
    """

    pattern: Pattern
    base: Colour
    accent: Colour = (0.5, 0.5, 0.5)
    period: tuple[float, float] = (0.5, 0.5)
    offset: tuple[float, float] = (0.0, 0.0)
    grain: float = 0.2
    grain_size: tuple[float, float] = (2.0, 2.0)
    rough: bool = True
    gloss: float = 0.0
    glow: float = 0.0


@cache
def _noise_pyramids() -> tuple[Floats, Integers]:
    """Tileable 1/f noise in 0..1, float32 [2, total], and the offset of each level in it.

    Natural images have spectra near 1/f; noise with that spectrum gives surfaces the same statistics.
    """
    rng = np.random.default_rng(20_031)
    rows, columns = np.fft.fftfreq(_TABLE)[:, None], np.fft.rfftfreq(_TABLE)[None, :]
    radius = np.hypot(rows, columns)
    radius[0, 0] = 1.0
    tables = []
    for slope in _SLOPES:
        spectrum = np.fft.rfft2(rng.standard_normal((_TABLE, _TABLE))) / radius**slope
        spectrum[0, 0] = 0.0
        level = np.fft.irfft2(spectrum, s=(_TABLE, _TABLE))
        level = np.clip(0.5 + 0.2 * level / level.std(), 0.0, 1.0)
        parts = []
        for _ in range(_LEVELS):
            parts.append(level.ravel())
            level = level.reshape(level.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
        tables.append(np.concatenate(parts))
    sides = _TABLE >> np.arange(_LEVELS)
    starts = np.concatenate([[0], np.cumsum(sides * sides)[:-1]])
    return np.stack(tables).astype(np.float32), starts.astype(np.int64)


def noise(u: Floats, v: Floats, *, footprint: Floats, rough: bool = True) -> Floats:
    """Bilinear samples of the noise table, from the level that matches the pixel size.

    Args:
        u: float32 [N], in table extents; the table repeats.
        v: float32 [N], in table extents.
        footprint: float32 [N], size of one pixel on the surface, in table extents.
        rough: True for the table with more fine detail.

    Returns:
        float32 [N], 0..1, mean 0.5.
    """
    tables, starts = _noise_pyramids()
    table = tables[0 if rough else 1]
    wanted = np.log2(np.maximum(footprint * _TABLE, 1.0))
    level = np.minimum(wanted, _LEVELS - 1).astype(np.int64)
    side = _TABLE >> level
    x, y = u * side - 0.5, v * side - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    mask = side - 1
    x0, y0 = left.astype(np.int64) & mask, top.astype(np.int64) & mask
    x1, y1 = (x0 + 1) & mask, (y0 + 1) & mask
    upper, lower = starts[level] + y0 * side, starts[level] + y1 * side
    above = table[upper + x0] * (1 - fx) + table[upper + x1] * fx
    below = table[lower + x0] * (1 - fx) + table[lower + x1] * fx
    result: Floats = (above * (1 - fy) + below * fy).astype(np.float32, copy=False)
    return result


def albedo(material: Material, *, u: Floats, v: Floats, footprint: Floats) -> Floats:
    """Reflectance of a material at surface points.

    Args:
        material: The material.
        u: float32 [N], metres along the surface.
        v: float32 [N], metres along the surface.
        footprint: float32 [N], size of one pixel on the surface, metres, positive.

    Returns:
        float32 [3, N], linear RGB, 0..1.
    """
    grain_u, grain_v = material.grain_size
    at_u, at_v = u + material.offset[0], v + material.offset[1]
    grain = noise(at_u / grain_u, at_v / grain_v, footprint=footprint / max(grain_u, grain_v), rough=material.rough)
    mix, shade = _layout(material, at_u, at_v, footprint, grain)
    shade = shade * (1.0 + material.grain * 3.0 * (grain - 0.5))
    base = np.array(material.base, dtype=np.float32)[:, None]
    accent = np.array(material.accent, dtype=np.float32)[:, None]
    return np.clip((base + (accent - base) * mix) * shade, 0.0, 1.0).astype(np.float32, copy=False)


def _layout(material: Material, u: Floats, v: Floats, footprint: Floats, grain: Floats) -> tuple[Floats, Floats]:
    """Share of the accent colour and a brightness factor per point."""
    period_u, period_v = material.period
    ones = np.ones_like(u)
    x, y = u / period_u, v / period_v
    wide_x, wide_y = footprint / period_u, footprint / period_v
    match material.pattern:
        case "checker":
            signed = _square(x, wide_x) * _square(y, wide_y)
            return 0.5 + 0.5 * signed, ones
        case "stripes":
            return 0.5 + 0.5 * _square(x, wide_x), ones
        case "gradient":
            wave = (0.5 + 0.5 * np.sin(x + 0.7 * y)).astype(np.float32)
            return wave, ones
        case "blotches":
            return np.clip(0.5 + 3.0 * (grain - 0.5), 0.0, 1.0), ones
        case "bricks":
            row = np.floor(y)
            column = x + 0.5 * (row % 2)
            joint = np.maximum(_line(column, wide_x, 0.06), _line(y, wide_y, 0.12))
            return joint, _cell_shade(np.floor(column), row, wide_x, 0.35)
        case "planks":
            row = np.floor(y)
            column = x + 0.37 * row
            joint = np.maximum(_line(column, wide_x, 0.01), _line(y, wide_y, 0.04))
            return np.float32(0.8) * joint, _cell_shade(np.floor(column), row, wide_y, 0.35)
        case "windows":
            pane = _bump(x, wide_x, 0.5) * _bump(y, wide_y, 0.6)
            shade = 1.0 + (_cell_shade(np.floor(x), np.floor(y), wide_x, 0.9) - 1.0) * pane
            return pane, shade.astype(np.float32, copy=False)
        case "books":
            hue = _cell_shade(np.floor(x), np.floor(y), wide_x, 1.2)
            shelf = _line(y, wide_y, 0.12)
            spines: Floats = np.where(shelf > np.float32(0.5), np.float32(0.5), 0.4 + 0.6 * hue)
            return np.clip(hue - 0.5, 0.0, 1.0) * (1 - shelf), spines
        case "plain":
            return np.zeros_like(u), ones


def _square(x: Floats, width: Floats) -> Floats:
    """Square wave of period 2 in -1..1, softened over one pixel."""
    triangle = 1.0 - np.abs((x % 2.0) - 1.0) * 2.0
    result: Floats = np.clip(triangle / np.maximum(2.0 * width, 1e-3), -1.0, 1.0)
    return result


def _line(x: Floats, width: Floats, thickness: float) -> Floats:
    """Coverage of thin lines at the integers, 0..1."""
    distance = 0.5 - np.abs((x % 1.0) - 0.5)
    soft = np.maximum(width, 1e-3)
    sharp = np.clip((thickness / 2 - distance) / soft + 0.5, 0.0, 1.0)
    result: Floats = sharp + (thickness - sharp) * np.clip(2.0 * width - 0.5, 0.0, 1.0)
    return result


def _bump(x: Floats, width: Floats, share: float) -> Floats:
    """Coverage of the middle `share` of every unit cell, 0..1."""
    distance = np.abs((x % 1.0) - 0.5)
    sharp = np.clip((share / 2 - distance) / np.maximum(width, 1e-3) + 0.5, 0.0, 1.0)
    result: Floats = sharp + (share - sharp) * np.clip(2.0 * width - 0.5, 0.0, 1.0)
    return result


def _cell_shade(column: Floats, row: Floats, width: Floats, strength: float) -> Floats:
    """Random brightness per cell around 1, fading to 1 where cells are smaller than a pixel."""
    mixed = column.astype(np.int64) * 73_856_093 ^ row.astype(np.int64) * 19_349_663
    spread = ((mixed * 2_654_435_761 >> 8) & 0xFFFF).astype(np.float32) / 65_535.0
    result: Floats = 1.0 + strength * (spread - 0.5) * np.clip(1.5 - 2.0 * width, 0.0, 1.0)
    return result
