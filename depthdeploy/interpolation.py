"""ONNX's formulas of ``Resize``: where every output element lies in the input, and what it is made of.

Source of all formulas: the ONNX operator specification, ``Resize``, opsets 11 to 19. Passes over graphs and the
executor of the learning algorithms compute with the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Coordinates = NDArray[np.float64]

#: How far, in elements of the input, 32 bits may lie from a place.
_DOUBT: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis that is resized.

    Attributes:
        size: elements of the input.
        resized: elements of the output.
        scale: output by input, as the node gives it.
        coordinates: the attribute ``coordinate_transformation_mode``.
        roi: start and end of the part that ``tf_crop_and_resize`` takes, as parts of the input.
    """

    size: int
    resized: int
    scale: float
    coordinates: str
    roi: tuple[float, float] = (0.0, 1.0)

    @property
    def exact(self) -> bool:
        """Whether the scale is that of the two sizes, as far as 32 bits can tell."""
        return bool(np.float32(self.scale) == np.float32(self.resized / self.size))

    def places(self) -> Coordinates:
        """Where every element of the output lies in the input: ``[resized]`` float64.

        Where the scale is exact the sizes are divided, not the scale: a third has no binary fraction.
        """
        x = np.arange(self.resized, dtype=np.float64)
        size, resized = (self.size, self.resized) if self.exact else (1.0, self.scale)
        match self.coordinates:
            case "align_corners":  # by the whole number of elements, as every runtime has it
                return x * (self.size - 1) / (self.resized - 1) if self.resized > 1 else x
            case "asymmetric":
                return x * size / resized
            case "pytorch_half_pixel" if self.resized == 1:
                return x
            case "half_pixel_symmetric" if not self.exact:
                adjustment = self.resized / (self.scale * self.size)
                return self.size / 2 * (1 - adjustment) + (x + 0.5) / self.scale - 0.5
            case "tf_half_pixel_for_nn":
                return (2 * x + 1) * size / (2 * resized)
            case "tf_crop_and_resize":
                return self._cropped(x)
            case _:
                return ((2 * x + 1) * size - resized) / (2 * resized)

    def single_places(self) -> NDArray[np.float32] | None:
        """The places as runtimes compute them in 32 bits, ``[resized]``; ``None`` where each does it its own way."""
        x, half, scale = np.arange(self.resized, dtype=np.float32), np.float32(0.5), np.float32(self.scale)
        match self.coordinates:
            case "align_corners":
                return x * np.float32(self.size - 1) / np.float32(max(self.resized - 1, 1))
            case "asymmetric":
                return x / scale
            case "tf_half_pixel_for_nn":
                return (x + half) / scale
            case "pytorch_half_pixel" if self.resized == 1:
                return x
            case "half_pixel" | "pytorch_half_pixel":
                return (x + half) / scale - half
            case _:
                return None

    def _cropped(self, x: Coordinates) -> Coordinates:
        start, end = self.roi
        if self.resized == 1:
            return np.full(1, 0.5 * (start + end) * (self.size - 1))
        return start * (self.size - 1) + x * (end - start) * (self.size - 1) / (self.resized - 1)

    def outside(self) -> NDArray[np.bool_]:
        """Which elements of the output ``tf_crop_and_resize`` takes from beyond the image: ``[resized]``."""
        places = self.places()
        if self.coordinates != "tf_crop_and_resize":
            return np.zeros(self.resized, dtype=np.bool_)
        return np.asarray((places < 0) | (places > self.size - 1))


@dataclass(frozen=True, slots=True)
class Kernel:
    """How neighbours are weighted.

    Attributes:
        cubic: cubic convolution (Keys 1981) instead of linear interpolation.
        coefficient: its ``a``.
        antialias: widen the kernel when the image becomes smaller.
        exclude_outside: elements beyond the edge weigh nothing, instead of repeating the edge.
    """

    cubic: bool = False
    coefficient: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False

    def weights(self, distance: Coordinates) -> Coordinates:
        """The weight of an element at a distance."""
        d, a = np.abs(distance), self.coefficient
        if not self.cubic:
            return np.asarray(np.maximum(1 - d, 0))
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))


def nearest(axis: Axis, rounding: str) -> NDArray[np.int64]:
    """Which element of the input every element of the output copies: ``[resized]``."""
    return _rounded(axis.places(), rounding, axis.size)


def is_certain(axis: Axis, rounding: str) -> bool:
    """Whether 32 bits choose the same elements as exact numbers: runtimes differ where a place lies on an edge."""
    exact, single = axis.places(), axis.single_places()
    others = (exact - _DOUBT, exact + _DOUBT) if single is None else (single,)
    chosen = _rounded(exact, rounding, axis.size)
    return all(np.array_equal(chosen, _rounded(other, rounding, axis.size)) for other in others)


def _rounded(places: NDArray[np.floating], rounding: str, size: int) -> NDArray[np.int64]:
    match rounding:
        case "round_prefer_floor":
            rounded = np.ceil(places - 0.5)
        case "round_prefer_ceil":
            rounded = np.floor(places + 0.5)
        case "ceil":
            rounded = np.ceil(places)
        case _:
            rounded = np.floor(places)
    found: NDArray[np.int64] = np.clip(rounded, 0, size - 1).astype(np.int64)
    return found


@lru_cache(maxsize=256)
def matrix(axis: Axis, kernel: Kernel) -> NDArray[np.float64]:
    """What every element of the output is made of: ``[resized, size]`` float64, rows that add up to one."""
    places = axis.places()
    narrow = min(axis.scale, 1.0) if kernel.antialias else 1.0
    radius = math.ceil((2 if kernel.cubic else 1) / narrow)
    taps = np.floor(places)[:, None] + np.arange(1 - radius, radius + 1)
    weights = kernel.weights((taps - places[:, None]) * narrow)
    inside = np.clip(taps, 0, axis.size - 1)
    if kernel.exclude_outside:
        weights = np.where(inside == taps, weights, 0)
    if kernel.antialias or kernel.exclude_outside:
        weights = weights / weights.sum(axis=1, keepdims=True)
    result = np.zeros((axis.resized, axis.size))
    np.add.at(result, (np.arange(axis.resized)[:, None], inside.astype(np.int64)), weights)
    return result
