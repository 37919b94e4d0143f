"""An estimate of how long an inference takes. It is never a measurement, and says so wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from depthdeploy.core.performance import OperatorClass


class Bound(Enum):
    """What a layer waits for (Williams et al. 2009)."""

    COMPUTE = "compute"
    MEMORY = "memory"
    OVERHEAD = "overhead"


class Verdict(Enum):
    """Whether a budget is held, as far as an interval can tell."""

    HOLDS = "holds"
    """The whole interval lies within the budget."""
    LIKELY = "likely holds"
    """The estimate lies within the budget, the interval's upper end does not."""
    UNLIKELY = "likely missed"
    """The estimate lies beyond the budget, the interval's lower end does not."""
    MISSED = "missed"
    """The whole interval lies beyond the budget."""


@dataclass(frozen=True, slots=True)
class LayerEstimate:
    """One node, with what is fused behind it.

    Attributes:
        name: the node.
        operator: its ONNX operator.
        fused: operators that run in the same step.
        kind: the operator class that was priced.
        macs: multiply-accumulate operations.
        operations: what the chip computes: two for each of those, or those of the vector unit.
        moved_bytes: read from and written to the memory outside the chip.
        compute_ms: at the attainable rate of the class.
        memory_ms: at the attainable bandwidth.
        overhead_ms: beside both.
        slow: why it runs on a slower unit; empty when it does not.
    """

    name: str
    operator: str
    fused: tuple[str, ...]
    kind: OperatorClass
    macs: int
    operations: float
    moved_bytes: int
    compute_ms: float
    memory_ms: float
    overhead_ms: float
    slow: str = ""

    @property
    def ms(self) -> float:
        """The longer of computing and moving, and the overhead."""
        return max(self.compute_ms, self.memory_ms) + self.overhead_ms

    @property
    def bound(self) -> Bound:
        """The largest of the three parts."""
        if self.overhead_ms > max(self.compute_ms, self.memory_ms):
            return Bound.OVERHEAD
        return Bound.COMPUTE if self.compute_ms >= self.memory_ms else Bound.MEMORY

    @property
    def intensity(self) -> float:
        """Operations for every byte from memory; infinite where nothing is moved."""
        return self.operations / self.moved_bytes if self.moved_bytes else float("inf")


@dataclass(frozen=True, slots=True)
class BudgetAnswer:
    """Whether a time is held.

    Attributes:
        budget_ms: the time.
        verdict: the answer.
        margin_ms: what is left of the budget at the estimate; negative when it is exceeded.
        worst_margin_ms: what is left at the interval's upper end.
    """

    budget_ms: float
    verdict: Verdict
    margin_ms: float
    worst_margin_ms: float

    @property
    def frames_per_second(self) -> float:
        """The rate that the budget stands for."""
        return 1000.0 / self.budget_ms


@dataclass(frozen=True, slots=True)
class LatencyEstimate:
    """The time of one inference, estimated by a roofline over layers: *estimate*, never measured.

    Attributes:
        target: name and variant, ``hailo:hailo8``.
        title: the chip.
        predicts: ``latency``, or ``frame interval`` of a pipeline.
        precision: what the layers compute in.
        concurrent: share of the chip and of its bandwidth that is ours.
        layers: in the graph's order.
        overhead_ms: of the whole inference.
        reload_ms: weights that are loaded again, where the network does not fit the chip.
        ms: the estimate.
        lower_ms: lower end of the interval.
        upper_ms: upper end.
        peak_gops: of the chip at this precision and share, 10^9 operations per second.
        bandwidth_gb_per_s: of its memory at this share.
        notes: rules that applied and figures that are uncertain.
    """

    target: str
    title: str
    predicts: str
    precision: str
    concurrent: float
    layers: tuple[LayerEstimate, ...]
    overhead_ms: float
    reload_ms: float
    ms: float
    lower_ms: float
    upper_ms: float
    peak_gops: float
    bandwidth_gb_per_s: float
    notes: tuple[str, ...]

    @property
    def frames_per_second(self) -> float:
        """One inference after the other."""
        return 1000.0 / self.ms

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of all layers."""
        return sum(layer.macs for layer in self.layers)

    def share_by_class(self) -> Mapping[OperatorClass, float]:
        """Operator class -> share of the layers' time."""
        total = sum(layer.ms for layer in self.layers) or 1.0
        return {
            kind: sum(layer.ms for layer in self.layers if layer.kind is kind) / total
            for kind in OperatorClass
            if any(layer.kind is kind for layer in self.layers)
        }

    def slowest(self, count: int) -> tuple[LayerEstimate, ...]:
        """The layers that take longest, the longest first."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.ms)[:count])

    def fits(self, budget_ms: float) -> BudgetAnswer:
        """Whether an inference takes at most ``budget_ms``, as far as the interval can tell."""
        if self.upper_ms <= budget_ms:
            verdict = Verdict.HOLDS
        elif self.ms <= budget_ms:
            verdict = Verdict.LIKELY
        elif self.lower_ms <= budget_ms:
            verdict = Verdict.UNLIKELY
        else:
            verdict = Verdict.MISSED
        return BudgetAnswer(budget_ms, verdict, budget_ms - self.ms, budget_ms - self.upper_ms)
