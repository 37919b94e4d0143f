"""Ranges and plans: quantization as data. Nothing here touches a graph."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from depthdeploy.core.grid import Grid


@dataclass(frozen=True, slots=True)
class TensorRange:
    """What was observed of one activation tensor over the calibration photographs.

    Attributes:
        tensor: its name in the legal graph.
        low: the lower bound that the observer chose.
        high: the upper bound that the observer chose.
        samples: how many photographs were seen.
    """

    tensor: str
    low: float
    high: float
    samples: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high and self.samples > 0):
            raise ValueError(f"{self.tensor}: no range [{self.low}, {self.high}] of {self.samples} samples")


@dataclass(frozen=True, slots=True)
class Statistics:
    """The ranges of a legal graph's activations: what calibration gives.

    Attributes:
        observer: its name and settings, such as ``minmax`` or ``percentile(99.99)``.
        ranges: tensor name -> range.
        images: how many photographs were seen.
        calibration_digest: the digest of the calibration set.
        constant: the tensors that held one and the same value on every photograph.
    """

    observer: str
    ranges: Mapping[str, TensorRange]
    images: int
    calibration_digest: str
    constant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActivationGrid:
    """One line of a plan: put a Q/DQ pair on an activation tensor."""

    tensor: str
    grid: Grid
    why: str = ""

    def __str__(self) -> str:
        grid = self.grid
        return f"{self.tensor}: {grid.format} scale={grid.scale[0]:.6g} zero={grid.zero_point[0]} {self.why}".rstrip()


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """One line of a plan: store a constant of one node as integers.

    Attributes:
        node: the consuming node.
        tensor: the initializer.
        grid: per channel along ``grid.axis``, or per tensor.
        why: what is unusual about the scales; empty when they are the channels' largest magnitudes.
    """

    node: str
    tensor: str
    grid: Grid
    why: str = ""

    def __str__(self) -> str:
        low, high = min(self.grid.scale), max(self.grid.scale)
        scales = f"{len(self.grid.scale)} scales {low:.4g}..{high:.4g}"
        return f"{self.tensor} of {self.node}: {self.grid.format} {scales} {self.why}".rstrip()


@dataclass(frozen=True, slots=True)
class BiasGrid:
    """One line of a plan: store a bias as int32 with ``scale = input scale x weight scale``."""

    node: str
    tensor: str
    scale: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.tensor} of {self.node}: int32 {len(self.scale)} scales"


@dataclass(frozen=True, slots=True)
class KeptFloat:
    """One line of a plan: a node that stays in float, and why."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node} ({self.operator}) stays float: {self.reason}"


@dataclass(frozen=True, slots=True)
class QuantPlan:
    """Every decision of the quantizer, before any graph is edited."""

    scheme: str
    activations: tuple[ActivationGrid, ...]
    weights: tuple[WeightGrid, ...]
    biases: tuple[BiasGrid, ...]
    floats: tuple[KeptFloat, ...]

    def __str__(self) -> str:
        parts = (self.activations, self.weights, self.biases, self.floats)
        return "\n".join([f"scheme {self.scheme}", *(str(line) for part in parts for line in part)])
