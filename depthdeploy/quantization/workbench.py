"""The contract of every quantization algorithm: frozen values in, frozen values out.

A *preparation* rewrites the float graph without changing its function. A *refinement* takes a draft - the graph whose
constants will be stored, what was observed, and the plan - and gives a better one. Both read photographs and settings
from the workbench and nothing else, so that the same seed gives the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.findings import Findings
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.progress import Progress, silent
from depthdeploy.core.quant import QuantPlan, Statistics
from depthdeploy.core.request import Drop
from depthdeploy.core.scheme import Scheme


class CalibrationTensors(Protocol):
    """The calibration photographs as input tensors, as often as an algorithm wants them."""

    @property
    def digest(self) -> str:
        """The digest of the selection."""

    def __len__(self) -> int:
        """How many photographs there are."""

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        """The first ``count`` photographs (all by default), each ``[1, 3, H, W]`` float32 as the graph takes it."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A share of a wall-clock budget.

    Attributes:
        ends: on the clock of ``time.monotonic``; infinite without a budget.
    """

    ends: float = float("inf")

    @classmethod
    def within(cls, seconds: float | None) -> Deadline:
        """A deadline ``seconds`` from now, or none."""
        return cls() if seconds is None else cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds that are left, not negative."""
        return max(0.0, self.ends - time.monotonic())


@dataclass(frozen=True, slots=True)
class Workbench:
    """What an algorithm may look at besides its draft.

    Attributes:
        reference: the legal graph as it came: what FP32 means.
        scheme: the target's number formats.
        photographs: the calibration photographs.
        folder: where it writes graphs; what lies there after an interruption may be taken up again.
        seed: of everything random.
        deadline: when learning must have ended.
        device: ``cpu`` or ``cuda``, for algorithms that learn.
        limits: losses that the user will not have exceeded; mixed precision aims at them.
        progress: told how far the algorithm is.
    """

    reference: OnnxModel
    scheme: Scheme
    photographs: CalibrationTensors
    folder: Path
    seed: int = 0
    deadline: Deadline = field(default_factory=Deadline)
    device: str = "cpu"
    limits: tuple[Drop, ...] = ()
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Draft:
    """What one refinement hands to the next.

    Attributes:
        model: the float graph whose constants the plan turns into integers; learned weights lie on their grids, so that
            rounding gives exactly the integers that were learned.
        statistics: the ranges of its activations.
        plan: every grid.
        findings: what was found and done so far.
    """

    model: OnnxModel
    statistics: Statistics
    plan: QuantPlan
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation gives.

    Attributes:
        model: a graph of the same function.
        detail: what was done, in one phrase.
    """

    model: OnnxModel
    detail: str


@dataclass(frozen=True, slots=True)
class Refined:
    """What a refinement gives.

    Attributes:
        draft: the better draft.
        detail: what was done, in one phrase.
        degradations: what was asked and not done.
    """

    draft: Draft
    detail: str
    degradations: tuple[str, ...] = ()


class Preparation(Protocol):
    """An algorithm on the float graph: a frozen dataclass whose fields are its settings."""

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        """Rewrite the graph; its function stays, to rounding."""


class Refinement(Protocol):
    """An algorithm on the plan and the constants: a frozen dataclass whose fields are its settings."""

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        """Improve the draft."""
