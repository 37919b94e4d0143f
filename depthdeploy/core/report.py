"""What a compilation gives back, for people and for machines: the value behind every report file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.findings import Findings
from depthdeploy.core.metrics import Evaluation, Latency
from depthdeploy.core.tensor import TensorSpec

#: The version of ``report.json``; a change that breaks a reader raises the first number.
REPORT_SCHEMA = "1.2"


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One line of a run.

    Attributes:
        name: the stage's fixed name.
        seconds: wall-clock time that it took in this run.
        cached: whether a stored result was taken instead.
        bytes: the size of what it made; ``None`` where that means nothing.
        detail: one phrase for the terminal: counts, parity, loss so far.
    """

    name: str
    seconds: float
    cached: bool
    bytes: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class SelectionRecord:
    """Which photographs were used for what, by digest."""

    dataset: str
    purpose: str
    images: int
    available: int
    seed: int
    digest: str
    strata: Mapping[str, int]
    photos: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """The network that was compiled.

    Attributes:
        name: its title.
        source: the model id or the ONNX file's name.
        licence: SPDX identifier, empty when it is not known (a foreign ONNX).
        weights_sha256: digest of the weights or of the foreign ONNX.
        onnx_sha256: digest of the canonical graph.
        opset: of the canonical graph.
        parameters: values in the float initializers of the canonical graph.
        macs: multiply-accumulate operations of one inference.
        input: the input contract.
        output: the output contract.
        parity: the measured difference to PyTorch in words; empty for a foreign ONNX.
    """

    name: str
    source: str
    licence: str
    weights_sha256: str
    onnx_sha256: str
    opset: int
    parameters: int
    macs: int
    input: InputContract
    output: DepthContract
    parity: str


@dataclass(frozen=True, slots=True)
class QuantizationRecord:
    """How the network was quantized; counts of the plan, which lies beside the report as ``plan.txt``.

    Attributes:
        precision: ``int8`` or ``int16``.
        scheme: the target's number formats, by name.
        weights_format: of the weights.
        activations_format: of the activations.
        observer: how ranges were chosen.
        activations: how many activation tensors have a grid.
        weights: how many weight tensors have one.
        kept_float: the nodes that stay in float, and why.
        recipe: which algorithms ran, by the recipe's name; empty in reports before schema 1.1.
        findings: what they did, and what was found out about the network.
    """

    precision: str
    scheme: str
    weights_format: str
    activations_format: str
    observer: str
    activations: int
    weights: int
    kept_float: tuple[str, ...]
    recipe: str = ""
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class LegalizationRecord:
    """How the network was made legal for the target.

    Attributes:
        nodes: how many nodes the target was asked about.
        rewrites: the target's passes that changed the graph and not its function, in order.
        approximations: options that changed the function, as they were asked for; what they lose is among the
            evaluations, as ``float, approximated``.
        opset: the operator set that the compiler was given.
        host: where nodes run that the accelerator does not take; empty when the target has no such place.
        fallback_nodes: how many nodes run there.
        fallback_macs: their multiply-accumulate operations as a share of all, 0..1.
        fallbacks: which, and why, in words.
        slow: nodes that run on a slower unit of the chip, and why, in words.
        uncertain_nodes: nodes of which what is said, acceptance too, rests on second-hand or contradicted sources.
    """

    nodes: int
    rewrites: tuple[str, ...]
    approximations: tuple[str, ...]
    opset: int
    host: str
    fallback_nodes: int
    fallback_macs: float
    fallbacks: tuple[str, ...]
    slow: tuple[str, ...]
    uncertain_nodes: int


@dataclass(frozen=True, slots=True)
class InterfaceRecord:
    """What the artifact itself takes and gives: where that differs from the network, it was asked for.

    Attributes:
        input_tensor: the artifact's input.
        input: how a photograph becomes it.
        output_tensor: the artifact's output.
        output: what it means, and what the host computes from it.
    """

    input_tensor: TensorSpec
    input: InputContract
    output_tensor: TensorSpec
    output: DepthContract


@dataclass(frozen=True, slots=True)
class KernelCheck:
    """The artifact's own run against the exact emulation of its number formats.

    Attributes:
        emulated_sqnr_db: SQNR of the exact emulation against FP32, mean over images.
        artifact_sqnr_db: SQNR of the artifact's own run against FP32, mean over images.
        gap_db: the first less the second; above 0.5 the kernels lose what quantization did not.
    """

    emulated_sqnr_db: float
    artifact_sqnr_db: float
    gap_db: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one network on one target.

    Attributes:
        schema: ``REPORT_SCHEMA``.
        version: of depthdeploy.
        command: what was typed, or the equivalent of the Python call.
        network: what went in.
        target: where it goes.
        variant: which chip or instruction set.
        quantization: how; ``None`` at float precision.
        selections: the photographs.
        evaluations: every figure.
        kernels: artifact against emulation; ``None`` where the artifact does not run here.
        fp32_bytes: size of the canonical FP32 ONNX.
        artifact_bytes: size of the artifact's files.
        fp32_latency: of the FP32 ONNX in ONNX Runtime.
        artifact_latency: of the artifact in its own runtime; ``None`` where it does not run here.
        operators: how many nodes of the artifact ran in which precision, by its runtime's own profile.
        stages: what was done, and how long it took.
        degradations: every concession that an option allowed, in words.
        files: artifact file -> SHA-256.
        versions: package -> version.
        machine: processor and instruction set.
        remarks: what a reader must know before trusting a figure: an implausible sign or unit, pairs left out.
        legalization: how the graph was made legal; ``None`` in reports before schema 1.2.
        interface: what the artifact takes and gives; ``None`` in reports before schema 1.2.
    """

    schema: str
    version: str
    command: str
    network: NetworkRecord
    target: str
    variant: str
    quantization: QuantizationRecord | None
    selections: tuple[SelectionRecord, ...]
    evaluations: tuple[Evaluation, ...]
    kernels: KernelCheck | None
    fp32_bytes: int
    artifact_bytes: int
    fp32_latency: Latency | None
    artifact_latency: Latency | None
    operators: Mapping[str, int]
    stages: tuple[StageRecord, ...]
    degradations: tuple[str, ...]
    files: Mapping[str, str]
    versions: Mapping[str, str]
    machine: str
    remarks: tuple[str, ...] = ()
    legalization: LegalizationRecord | None = None
    interface: InterfaceRecord | None = None
