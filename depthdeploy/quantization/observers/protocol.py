"""What an observer is: a rule that chooses the range of an activation, and its state for one tensor."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.grid import NumberFormat

Array = NDArray[np.float32]
Range = tuple[float, float]


class TensorObserver(Protocol):
    """The state of one tensor: updated with every photograph's values, asked once at the end."""

    def update(self, values: Array, extremes: Range | None = None) -> None:
        """Take in one photograph.

        Args:
            values: finite, any shape, float32; all values of the tensor or a sample of them.
            extremes: the smallest and largest of all values; those of ``values`` when ``None``.
        """

    def range(self) -> Range:
        """The bounds ``(low, high)`` of what a grid should cover.

        Raises:
            ValueError: nothing was observed.
        """


class Observer(Protocol):
    """A rule that chooses ranges: frozen settings, and a fresh state for every tensor."""

    @property
    def name(self) -> str:
        """With its settings, for plans and reports: ``minmax``, ``percentile(99.99)``."""

    @property
    def extremes_suffice(self) -> bool:
        """Whether the smallest and largest value of a photograph stand for all of them."""

    def start(self, number_format: NumberFormat | None = None) -> TensorObserver:
        """The state of one tensor that has seen nothing yet.

        Args:
            number_format: how the tensor will be stored; observers that weigh rounding against clipping need it.

        Raises:
            UsageError: the observer needs the format and got none.
        """
