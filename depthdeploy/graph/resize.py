"""What a ``Resize`` does, as a frozen value: its axes, its interpolation, and the matrix of every axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthdeploy.interpolation import Axis, Kernel, is_certain, matrix, nearest

Interpolation = Literal["nearest", "linear", "cubic"]

#: Two matrices of float64 that differ by less are the same function.
SAME = 1e-12


@dataclass(frozen=True, slots=True)
class Resizing:
    """What a ``Resize`` does to a tensor of a static shape.

    Attributes:
        axes: one for every dimension of the input, those that stay included.
        interpolation: the attribute ``mode``.
        kernel: the weights of linear and cubic interpolation.
        rounding: the attribute ``nearest_mode``; only nearest interpolation has a use for it.
        extrapolation: what ``tf_crop_and_resize`` gives for places beyond the image.
    """

    axes: tuple[Axis, ...]
    interpolation: Interpolation
    kernel: Kernel
    rounding: str = "round_prefer_floor"
    extrapolation: float = 0.0

    @property
    def coordinates(self) -> str:
        """The attribute ``coordinate_transformation_mode``."""
        return self.axes[0].coordinates

    @property
    def before(self) -> tuple[int, ...]:
        """The shape of the input."""
        return tuple(axis.size for axis in self.axes)

    @property
    def after(self) -> tuple[int, ...]:
        """The shape of the output."""
        return tuple(axis.resized for axis in self.axes)

    @property
    def changing(self) -> tuple[int, ...]:
        """The dimensions that do not stay as they are."""
        return tuple(index for index, axis in enumerate(self.axes) if not _stays(axis))

    @property
    def is_exact(self) -> bool:
        """Whether every scale is that of the sizes."""
        return all(axis.exact for axis in self.axes)

    @property
    def is_definite(self) -> bool:
        """Whether every runtime must compute the same function, a product with a matrix for each axis.

        It is not where a nearest neighbour hangs on a rounding error; nor where ``align_corners`` has a scale of its
        own, for the specification then divides by a broken size and runtimes by the whole one; nor where a size stays
        by a scale of its own, which some take for a copy. Places beyond the image are no product.
        """
        axes = [self.axes[index] for index in self.changing]
        if self.interpolation == "nearest" and not all(is_certain(axis, self.rounding) for axis in axes):
            return False
        whole = self.coordinates in ("align_corners", "tf_crop_and_resize")
        scaled = all(axis.exact or not (whole or axis.size == axis.resized) for axis in axes)
        return scaled and not any(axis.outside().any() for axis in axes)

    def matrix(self, index: int) -> NDArray[np.float64]:
        """What every element of one dimension is made of: ``[resized, size]`` float64."""
        axis = self.axes[index]
        if _stays(axis):
            return np.eye(axis.size)
        if self.interpolation == "nearest":
            return np.asarray(np.eye(axis.size)[nearest(axis, self.rounding)])
        return matrix(axis, self.kernel)

    def with_rule(self, coordinates: str, rounding: str | None = None) -> Resizing:
        """The same sizes by another rule of coordinates, of the whole image."""
        axes = tuple(replace(axis, coordinates=coordinates, roi=(0.0, 1.0)) for axis in self.axes)
        return replace(self, axes=axes, rounding=rounding or self.rounding, extrapolation=0.0)

    def with_sizes(self, sizes: Sequence[int]) -> Resizing:
        """The same rule for other sizes of the result, each scale that of its sizes."""
        pairs = zip(self.axes, sizes, strict=True)
        return replace(self, axes=tuple(replace(axis, resized=n, scale=n / axis.size) for axis, n in pairs))

    def after_sizes(self, sizes: Sequence[int]) -> Resizing:
        """The same rule from other sizes of the input, each scale that of its sizes."""
        pairs = zip(self.axes, sizes, strict=True)
        return replace(self, axes=tuple(replace(axis, size=n, scale=axis.resized / n) for axis, n in pairs))

    def same(self, *stages: Resizing) -> bool:
        """Whether one or more resizes, one after the other, compute the same function, proven by their matrices."""
        if not all(one.is_definite for one in (self, *stages)) or self.after != stages[-1].after:
            return False
        for index in range(len(self.axes)):
            product = stages[0].matrix(index)
            for stage in stages[1:]:
                product = stage.matrix(index) @ product
            if not np.allclose(product, self.matrix(index), rtol=0, atol=SAME):
                return False
        return True


def _stays(axis: Axis) -> bool:
    """Whether a dimension is left as it is: so every runtime has it, whatever the rule of coordinates."""
    return axis.size == axis.resized and axis.exact and axis.roi == (0.0, 1.0)
