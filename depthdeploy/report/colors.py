"""Perceptually uniform colour tables, computed from OKLab."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: OKLab to the cube roots of cone responses, and cone responses to linear sRGB (Ottosson 2020, "A perceptual color
#: space for image processing").
_TO_CONES: Final = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_TO_LINEAR: Final = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
_LEVELS: Final = 256


@lru_cache(maxsize=1)
def ember() -> NDArray[np.uint8]:
    """Dark violet over red to light yellow: lightness 0.15 to 0.95 in equal steps, hue 285 to 460 degrees.

    Returns:
        ``[256, 3]`` uint8 sRGB.
    """
    t = np.linspace(0, 1, _LEVELS)
    return _table(lightness=0.15 + 0.8 * t, chroma=0.05 + 0.15 * np.sin(np.pi * t), hue=285 + 175 * t)


@lru_cache(maxsize=1)
def tide() -> NDArray[np.uint8]:
    """Almost white to deep blue: lightness 0.97 to 0.30 in equal steps, hue 255 degrees.

    Returns:
        ``[256, 3]`` uint8 sRGB.
    """
    t = np.linspace(0, 1, _LEVELS)
    return _table(lightness=0.97 - 0.67 * t, chroma=0.01 + 0.16 * t, hue=np.full(_LEVELS, 255.0))


def _table(
    *, lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """OKLCh to sRGB; where a colour cannot be shown its chroma is lowered until it can, its lightness stays."""
    angle = np.deg2rad(hue)
    low, high = np.zeros_like(chroma), chroma.copy()
    for _ in range(24):
        middle = (low + high) / 2
        shown = _displayable(_linear(lightness, middle, angle))
        low, high = np.where(shown, middle, low), np.where(shown, high, middle)
    full = _displayable(_linear(lightness, chroma, angle))
    linear = np.clip(_linear(lightness, np.where(full, chroma, low), angle), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table: NDArray[np.uint8] = np.rint(255 * encoded).astype(np.uint8)
    return table


def _linear(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], angle: NDArray[np.float64]
) -> NDArray[np.float64]:
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    result: NDArray[np.float64] = (lab @ _TO_CONES.T) ** 3 @ _TO_LINEAR.T
    return result


def _displayable(linear: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.all((linear >= 0) & (linear <= 1), axis=1))


def painted(share: NDArray[np.floating], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Values in 0..1 as colours; beyond them the ends of the table, NaN grey.

    Args:
        share: ``[H, W]``.
        table: ``[256, 3]`` uint8.

    Returns:
        ``[H, W, 3]`` uint8 sRGB.
    """
    known = np.isfinite(share)
    index = np.rint(np.clip(np.where(known, share, 0), 0, 1) * (_LEVELS - 1)).astype(np.intp)
    return np.where(known[..., None], table[index], np.uint8(128)).astype(np.uint8)
