"""The report's value, put together from what every stage gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from depthdeploy import __version__
from depthdeploy.core.machine import cpu_flags, cpu_name
from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.model import CompiledArtifact, QuantizedModel
from depthdeploy.core.report import (
    REPORT_SCHEMA,
    InterfaceRecord,
    KernelCheck,
    LegalizationRecord,
    NetworkRecord,
    QuantizationRecord,
    Report,
)
from depthdeploy.core.request import CompileRequest
from depthdeploy.pipeline import scoring
from depthdeploy.pipeline.approach import Approach
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.legal_record import legalization
from depthdeploy.pipeline.model_stages import Network, versions_of
from depthdeploy.pipeline.photographs import Photographs
from depthdeploy.pipeline.quantize_stages import scheme_of
from depthdeploy.pipeline.run import Run
from depthdeploy.pipeline.target_stages import Emulated, Evaluated

#: Above this the artifact's own kernels lose what quantization did not, dB.
KERNEL_GAP_DB = 0.5


@dataclass(frozen=True, slots=True)
class Inputs:
    """What all targets of a run start from.

    Attributes:
        request: what is asked for.
        approach: how every target is quantized.
        network: the canonical network.
        photographs: which calibrate and which evaluate.
    """

    request: CompileRequest
    approach: Approach
    network: Network
    photographs: Photographs


@dataclass(frozen=True, slots=True)
class Made:
    """What the stages of one target gave.

    Attributes:
        approximated: what approximations of the graph lose by themselves.
        quantized: the graph that was compiled.
        emulated: its exact emulation's figures.
        artifact: what the driver made.
        evaluated: the artifact's own figures.
    """

    approximated: tuple[Evaluation, ...]
    quantized: QuantizedModel
    emulated: Emulated
    artifact: CompiledArtifact
    evaluated: Evaluated


def assemble(run: Run, inputs: Inputs, *, made: Made, goal: Destination) -> Report:
    """Everything about one network on one target."""
    request, network, photographs = inputs.request, inputs.network, inputs.photographs
    emulated, evaluated, artifact = made.emulated, made.evaluated, made.artifact
    quantized = made.quantized.legal
    opset = quantized.handover or quantized.model.opset
    legal = legalization(quantized, goal.target.capabilities, opset=opset)
    conceded = (*_approximations(made), *_fallbacks(legal), *_conceded(photographs, made.quantized))
    for remark in (*conceded, *emulated.remarks, *evaluated.remarks):
        run.remark(remark)
    evaluations = _merged(made.approximated, emulated.evaluations, evaluated.evaluations)
    kernels = _kernels(evaluations)
    if kernels is not None and kernels.gap_db > KERNEL_GAP_DB:
        run.remark(
            f"The artifact's own run is {kernels.gap_db:.2f} dB below its exact emulation: its kernels lose this, "
            "not quantization."
        )
    return Report(
        schema=REPORT_SCHEMA,
        version=__version__,
        command=request.command,
        network=_network(network),
        target=goal.name,
        variant=goal.variant.name,
        quantization=_quantization(made.quantized, goal, inputs.approach),
        selections=tuple(chosen.record for chosen in (photographs.calibration, *photographs.evaluations)),
        evaluations=evaluations,
        kernels=kernels,
        fp32_bytes=network.model.path.stat().st_size,
        artifact_bytes=artifact.size,
        fp32_latency=evaluated.fp32_latency,
        artifact_latency=evaluated.artifact_latency,
        operators=dict(evaluated.operators),
        stages=tuple(run.records),
        degradations=conceded,
        remarks=tuple(remark for remark in run.remarks if remark not in (*conceded, photographs.few)),
        files=dict(artifact.files),
        versions={**versions_of("depthdeploy", "onnx", "onnxruntime", "torch", "transformers"), **artifact.versions},
        machine=f"{cpu_name()}, {_instructions()}",
        legalization=legal,
        interface=_interface(artifact, network),
    )


def _interface(artifact: CompiledArtifact, network: Network) -> InterfaceRecord:
    contract, depth = artifact.contract or network.model.contract, artifact.depth or network.model.depth
    return InterfaceRecord(artifact.input, contract, artifact.output, depth)


def _approximations(made: Made) -> tuple[str, ...]:
    """What every approximation lost, measured before anything was quantized."""
    options = made.quantized.legal.approximations
    if not options:
        return ()
    loss = scoring.loss_so_far(made.approximated, Evidence.APPROXIMATED) or "not measured: nothing was evaluated"
    return (f"Approximated as was asked ({', '.join(options)}): {loss}.",)


def _fallbacks(legal: LegalizationRecord) -> tuple[str, ...]:
    if not legal.fallback_nodes:
        return ()
    share = f"{100 * legal.fallback_macs:.2f} % of the MACs"
    return (f"{legal.fallback_nodes} of {legal.nodes} nodes, {share}, run on {legal.host}, as was allowed.",)


def _conceded(photographs: Photographs, quantized: QuantizedModel) -> tuple[str, ...]:
    """Every concession that an option allowed."""
    few = photographs.few if quantized.plan is not None else ""
    steps = [f"{record.step}: {text}" for record in quantized.findings.steps for text in record.degradations]
    return tuple(text for text in (photographs.leak, few, *steps) if text)


def _instructions() -> str:
    known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp")
    return " ".join(flag for flag in known if flag in cpu_flags()) or "no vector instructions known"


def _network(network: Network) -> NetworkRecord:
    model, exported = network.model, network.exported
    return NetworkRecord(
        name=model.name,
        source=exported.source,
        licence=exported.licence,
        weights_sha256=exported.weights_sha256,
        onnx_sha256=model.sha256,
        opset=model.opset,
        parameters=network.parameters,
        macs=network.macs,
        input=model.contract,
        output=model.depth,
        parity=exported.parity,
    )


def _quantization(quantized: QuantizedModel, goal: Destination, approach: Approach) -> QuantizationRecord | None:
    plan = quantized.plan
    if plan is None:
        return None
    scheme = scheme_of(goal, approach)
    return QuantizationRecord(
        precision=quantized.precision,
        scheme=scheme.name,
        weights_format=str(scheme.weights),
        activations_format=str(scheme.activations),
        observer=approach.recipe.observer,
        activations=len(plan.activations),
        weights=len(plan.weights),
        kept_float=tuple(str(line) for line in plan.floats),
        recipe=quantized.recipe,
        findings=quantized.findings,
    )


def _merged(*runs: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    """All runs' figures; FP32, which all have, once."""
    seen: set[tuple[str, str, MetricKind]] = set()
    merged = []
    for one in (one for run in runs for one in run):
        key = (one.dataset, one.candidate, one.kind)
        if key not in seen:
            seen.add(key)
            merged.append(one)
    return tuple(merged)


def _kernels(evaluations: Sequence[Evaluation]) -> KernelCheck | None:
    emulated = scoring.mean_fidelity(evaluations, "sqnr_db", Evidence.EMULATED)
    own = scoring.mean_fidelity(evaluations, "sqnr_db", Evidence.MEASURED)
    if emulated is None or own is None:
        return None
    return KernelCheck(emulated, own, emulated - own)
