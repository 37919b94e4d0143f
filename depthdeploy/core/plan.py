"""What ``plan`` says before anything is compiled: what would be done, on which nodes, and what stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.latency import BudgetAnswer, LatencyEstimate
from depthdeploy.core.report import LegalizationRecord
from depthdeploy.core.support import Rejection
from depthdeploy.errors import UsageError

#: The version of the JSON that ``plan --json`` prints.
PLAN_SCHEMA = "1.0"


@dataclass(frozen=True, slots=True)
class Budget:
    """How long an inference may take, and how much of the chip is left to it.

    Attributes:
        ms: milliseconds for one inference; ``None`` when only the share is given.
        concurrent: the share of the chip that other work leaves, above 0, at most 1.
    """

    ms: float | None
    concurrent: float = 1.0

    def __post_init__(self) -> None:
        if self.ms is not None and not 0 < self.ms < float("inf"):
            raise UsageError(f"--budget-ms {self.ms:g} is no time.", "Give milliseconds, as in --budget-ms 16.")
        if not 0 < self.concurrent <= 1:
            raise UsageError(f"--concurrent {self.concurrent:g} is no share.", "Give a number above 0, at most 1.")


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why ``compile`` would stop.

    Attributes:
        stage: where, by the stage's fixed name, or ``latency`` for a budget that is not held.
        what: the reason.
        remedy: what the user can do.
        exit_code: of the error that ``compile`` would end with.
    """

    stage: str
    what: str
    remedy: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class GraphSize:
    """A network at one stage.

    Attributes:
        stage: the stage whose result this is.
        nodes: how many.
        parameters: values in weights and biases.
        macs: multiply-accumulate operations of one inference.
    """

    stage: str
    nodes: int
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The network that is planned with.

    Attributes:
        name: its title.
        source: the model id or the ONNX file's name.
        graph: where the graph came from, in words.
        licence: SPDX identifier; empty when it is not known.
        commercial: whether the licence allows commercial use; ``None`` when it is not known.
        opset: of the canonical graph.
        input: the input contract.
        output: the output contract.
        size: the canonical graph.
        operators: ONNX operator -> nodes of the canonical graph, the commonest first.
        remarks: what was assumed.
    """

    name: str
    source: str
    graph: str
    licence: str
    commercial: bool | None
    opset: int
    input: InputContract
    output: DepthContract
    size: GraphSize
    operators: Mapping[str, int]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator on one target; nodes of the graph as the compiler is given it.

    Attributes:
        operator: the ONNX operator.
        before: nodes of the canonical graph.
        after: nodes of the graph that is handed over.
        refused: of those, refused ones.
        on_host: of those, nodes that run on the host's processor.
        slow: of those, nodes that run on a slower unit of the chip.
    """

    operator: str
    before: int
    after: int
    refused: int
    on_host: int
    slow: int

    @property
    def accepted(self) -> int:
        """Nodes that run on the accelerator, the slow ones among them."""
        return self.after - self.refused - self.on_host


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Expected memory of the artifact at its precision; what a runtime keeps besides is not known.

    Attributes:
        weight_bytes: all constants.
        activation_bytes: the largest set of tensors that are alive at once, in the graph's order.
        widest: the node at which that is so.
    """

    weight_bytes: int
    activation_bytes: int
    widest: str


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """Whether there are enough photographs.

    Attributes:
        dataset: what would calibrate.
        images: how many; ``None`` when the set cannot be opened here.
        recipe: what the recipe is meant for.
        vendor: what the vendor's own tool asks for; 0 when nothing is said.
        typical: what the vendor's examples use, in words.
        source: where the vendor says so.
        verdict: ``enough``, ``few for the vendor's own tuning``, or why it is not known.
    """

    dataset: str
    images: int | None
    recipe: int
    vendor: int
    typical: str
    source: str
    verdict: str


@dataclass(frozen=True, slots=True)
class QuantizationPlan:
    """Who quantizes, and how.

    Attributes:
        quantizer: in words.
        scheme: the number formats; empty at float precision.
        weights: their format.
        activations: their format.
        recipe: the recipe and its steps; empty at float precision.
        handover: the form in which the network is given to the compiler.
    """

    quantizer: str
    scheme: str
    weights: str
    activations: str
    recipe: str
    handover: str


@dataclass(frozen=True, slots=True)
class ToolchainPlan:
    """Whether the vendor's software is there.

    Attributes:
        sdk: the distribution that the driver needs.
        version: the installed one; empty when there is none.
        driver: whether this version of depthdeploy drives it.
        install: how to get it.
    """

    sdk: str
    version: str
    driver: bool
    install: str

    @property
    def present(self) -> bool:
        """Whether ``compile`` can go through to the artifact here."""
        return self.driver and bool(self.version)


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target and variant.

    Attributes:
        target: its name.
        variant: the chip or instruction set.
        title: the chip, for people.
        precision: what it would be compiled to.
        operators: one row an operator.
        stages: the network at the stages of this target.
        legal: how the graph is made legal.
        refusals: every refusal, as values.
        fallbacks: why nodes run on the host's processor, as values.
        slow: why nodes run on a slower unit of the chip, as values.
        memory: expected; ``None`` where the graph is refused for its shapes.
        quantization: who quantizes, and how.
        calibration: whether there are enough photographs.
        toolchain: whether the vendor's software is there.
        latency: an estimate, never a measurement; ``None`` where no performance of the chip is known at the precision.
        budget: whether a time is held; ``None`` without a budget or an estimate.
        seconds: an estimate of what ``compile`` takes here, in words.
        blockers: why ``compile`` would stop, in the order of the stages.
    """

    target: str
    variant: str
    title: str
    precision: str
    operators: tuple[OperatorRow, ...]
    stages: tuple[GraphSize, ...]
    legal: LegalizationRecord
    refusals: tuple[Rejection, ...]
    fallbacks: tuple[Rejection, ...]
    slow: tuple[Rejection, ...]
    memory: MemoryPlan | None
    quantization: QuantizationPlan
    calibration: CalibrationPlan | None
    toolchain: ToolchainPlan
    latency: LatencyEstimate | None
    budget: BudgetAnswer | None
    seconds: str
    blockers: tuple[Blocker, ...]

    @property
    def name(self) -> str:
        """As after ``--target``, with the precision."""
        return f"{self.target}:{self.variant} {self.precision}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer.

    Attributes:
        schema: ``PLAN_SCHEMA``.
        version: of depthdeploy.
        network: what would go in.
        targets: one plan a target, in the request's order.
        blockers: what stands in the way of every target.
    """

    schema: str
    version: str
    network: NetworkPlan
    targets: tuple[TargetPlan, ...]
    blockers: tuple[Blocker, ...]

    @property
    def exit_code(self) -> int:
        """0 when every target can be compiled here, otherwise that of the first blocker."""
        found = (*self.blockers, *(one for target in self.targets for one in target.blockers))
        return found[0].exit_code if found else 0
