"""Number formats and grids: how real numbers become integers."""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Granularity(Enum):
    """What shares one scale."""

    TENSOR = "tensor"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a target stores a tensor as integers.

    Attributes:
        bits: how many bits carry information; 7 in an 8-bit container keeps kernels that add two products in 16 bits
            from saturating.
        signed: int or uint.
        symmetric: the zero point is fixed (0 for signed formats, the middle for unsigned ones).
        granularity: one scale per tensor or per output channel.
        container: the bits of the stored type, 8 or 16.
    """

    bits: int
    signed: bool
    symmetric: bool
    granularity: Granularity
    container: int = 8

    def __post_init__(self) -> None:
        if self.container not in (8, 16) or not 2 <= self.bits <= self.container:
            raise ValueError(
                f"2 <= bits <= container and container 8 or 16 must hold; got {self.bits}, {self.container}"
            )

    @property
    def qmin(self) -> int:
        """The smallest integer; symmetric signed formats leave out ``-2^(bits-1)``, so that the grid is symmetric."""
        if not self.signed:
            return 0
        return -(1 << (self.bits - 1)) + (1 if self.symmetric else 0)

    @property
    def qmax(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> str:
        """Numpy's name of the stored type."""
        return f"{'' if self.signed else 'u'}int{self.container}"

    def __str__(self) -> str:
        kind = "symmetric" if self.symmetric else "asymmetric"
        return f"{'' if self.signed else 'u'}int{self.bits} {kind} per {self.granularity.value}"


@dataclass(frozen=True, slots=True)
class Grid:
    """Real ``x`` is stored as the integer ``q`` with ``x = scale (q - zero_point)``.

    Attributes:
        scale: one positive value per tensor, or one per channel.
        zero_point: as many values as ``scale``, within the format's range.
        format: the number format.
        axis: the channel dimension; ``None`` for one scale per tensor.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    format: NumberFormat
    axis: int | None = None

    def __post_init__(self) -> None:
        if not self.scale or len(self.scale) != len(self.zero_point):
            raise ValueError(f"{len(self.scale)} scales and {len(self.zero_point)} zero points")
        if any(not (s > 0 and np.isfinite(s)) for s in self.scale):
            raise ValueError("every scale must be positive and finite")
        if (self.axis is None) != (self.format.granularity is Granularity.TENSOR) or (
            self.axis is None and len(self.scale) > 1
        ):
            raise ValueError("an axis goes with per-channel scales")

    @classmethod
    def covering(cls, low: float, high: float, number_format: NumberFormat) -> "Grid":
        """The finest per-tensor grid that covers ``[low, high]`` and holds 0 exactly (padding must stay 0).

        Raises:
            ValueError: a bound is not finite, or ``low > high``.
        """
        scale, zero_point = _cover(np.array([low], np.float64), np.array([high], np.float64), number_format)
        return cls((float(scale[0]),), (int(zero_point[0]),), number_format)

    @classmethod
    def covering_channels(
        cls, lows: NDArray[np.floating], highs: NDArray[np.floating], number_format: NumberFormat, axis: int
    ) -> "Grid":
        """``covering`` for every channel along ``axis``, from one low and one high per channel.

        Raises:
            ValueError: a bound is not finite, a low is above its high, or the numbers of channels differ.
        """
        if len(lows) != len(highs):
            raise ValueError(f"{len(lows)} lows and {len(highs)} highs")
        scale, zero_point = _cover(np.asarray(lows, np.float64), np.asarray(highs, np.float64), number_format)
        per_channel = replace(number_format, granularity=Granularity.CHANNEL)
        return cls(tuple(scale.tolist()), tuple(zero_point.tolist()), per_channel, axis)

    def _shaped(self, values: tuple[float, ...] | tuple[int, ...], ndim: int) -> NDArray[np.float64]:
        array = np.asarray(values, dtype=np.float64)
        if self.axis is None:
            return array.reshape(())
        return array.reshape([-1 if dim == self.axis % ndim else 1 for dim in range(ndim)])

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        """Integers of ``x``: rounded half to even and saturated, as ONNX ``QuantizeLinear`` does."""
        scale = self._shaped(self.scale, x.ndim).astype(np.float32)
        zero = self._shaped(self.zero_point, x.ndim)
        q = np.rint(np.asarray(x, dtype=np.float32) / scale) + zero
        stored: NDArray[np.integer] = np.clip(q, self.format.qmin, self.format.qmax).astype(self.format.dtype)
        return stored

    def dequantize(self, q: NDArray[np.integer]) -> NDArray[np.float32]:
        """Real values of integers, float32."""
        scale = self._shaped(self.scale, q.ndim).astype(np.float32)
        zero = self._shaped(self.zero_point, q.ndim)
        return ((q.astype(np.float64) - zero).astype(np.float32) * scale).astype(np.float32)


#: The scale of an empty range: it stays a normal number when another scale multiplies it.
_FINEST = 1e-12


def _cover(
    lows: NDArray[np.float64], highs: NDArray[np.float64], number_format: NumberFormat
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scales, rounded to float32 as ONNX stores them, and zero points of the finest grids that cover ranges and 0."""
    if not (np.isfinite(lows).all() and np.isfinite(highs).all() and (lows <= highs).all()):
        bad = np.flatnonzero(~(np.isfinite(lows) & np.isfinite(highs) & (lows <= highs)))[0]
        raise ValueError(f"no range: [{lows[bad]}, {highs[bad]}]")
    lows, highs = np.minimum(lows, 0.0), np.maximum(highs, 0.0)
    qmin, qmax = number_format.qmin, number_format.qmax
    middle = 0 if number_format.signed else (qmin + qmax + 1) // 2
    steps = min(middle - qmin, qmax - middle) if number_format.symmetric else qmax - qmin
    reach = np.maximum(-lows, highs) if number_format.symmetric else highs - lows
    scales = np.maximum((reach / steps).astype(np.float32).astype(np.float64), _FINEST)
    if number_format.symmetric:
        return scales, np.full(len(scales), middle, dtype=np.int64)
    return scales, np.clip(np.rint(qmin - lows / scales), qmin, qmax).astype(np.int64)
