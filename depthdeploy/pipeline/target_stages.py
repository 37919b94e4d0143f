"""The stages that run once per target, but for calibration and quantization, which have a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy import inference
from depthdeploy.core.ends import EndOptions
from depthdeploy.core.machine import cpu_name, runs_here
from depthdeploy.core.metrics import Evaluation, Evidence, Latency
from depthdeploy.core.model import CompiledArtifact, LegalModel, QuantizedModel
from depthdeploy.core.progress import Progress
from depthdeploy.core.support import Allowances
from depthdeploy.core.target import GraphPass
from depthdeploy.graph.legalize import legalize as make_legal
from depthdeploy.imaging.preprocess import preprocess
from depthdeploy.inference import OnnxSession
from depthdeploy.pipeline import scoring
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.ends import of_the_graph, open_ends, require_door
from depthdeploy.pipeline.handover import in_opset
from depthdeploy.pipeline.model_stages import Network, require_same, versions_of
from depthdeploy.pipeline.photographs import Photographs
from depthdeploy.pipeline.reference import Reference
from depthdeploy.pipeline.run import Run
from depthdeploy.pipeline.whole import Whole
from depthdeploy.runtime.compiler import compile_artifact
from depthdeploy.runtime.latency import measure_paired
from depthdeploy.runtime.runner import Runner, count_precisions, open_runner

#: Both networks have just run on every evaluation photograph when they are timed.
_WARMUP = 5


@dataclass(frozen=True, slots=True)
class Emulated:
    """What the exact emulation of the Q/DQ graph scores.

    Attributes:
        evaluations: of FP32 and of the emulation.
        remarks: what a reader must know.
    """

    evaluations: tuple[Evaluation, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the artifact itself scores.

    Attributes:
        evaluations: of FP32 and of the artifact; empty where this machine cannot run it.
        fp32_latency: of FP32 in ONNX Runtime.
        artifact_latency: of the artifact in its own runtime.
        operators: precision -> executed nodes, by the runtime's own profile.
        gallery: photographs with their maps; ``None`` without a run.
        remarks: what a reader must know.
    """

    evaluations: tuple[Evaluation, ...]
    fp32_latency: Latency | None
    artifact_latency: Latency | None
    operators: Mapping[str, int]
    gallery: Path | None
    remarks: tuple[str, ...]


def legalize(
    run: Run,
    network: Network,
    photographs: Photographs,
    goal: Destination,
    *,
    allowances: Allowances,
    options: EndOptions,
) -> LegalModel:
    """The graph that the target accepts whole: the accelerator's part of the network, its input opened.

    The target's rewrites are proven on a photograph to keep the function, unless it was asked to be changed.

    Raises:
        ModelError: a pass changed the function; this is a fault of the target's plug-in, and named as one.
        UnsupportedGraph: every refused node, with rule and remedy.
        UsageError: an approximation is unknown, or changes nothing; the network cannot be cut as was asked.
    """

    def make(folder: Path, _: Progress) -> LegalModel:
        opened = open_ends(network.model, goal, options, allowances.approximate, folder)
        inner = of_the_graph(allowances)
        legal = make_legal(opened, goal.target, goal.variant.name, folder / "model.onnx", inner)
        if not inner.approximate:
            reference = run.reference(network.exported.model)
            before = reference.predict if opened.meaning == network.model.meaning else OnnxSession(opened.path).predict
            require_same(before, opened, legal.model, photographs)
        require_door(legal.model, goal, options.shaped(network.model.contract), allowances)
        return replace(legal, approximations=allowances.approximate)

    depends = (
        network.model.meaning,
        goal.target.capabilities,
        goal.variant.name,
        [_settings(rewrite) for rewrite in goal.target.lowering(goal.variant.name)],
        allowances,
        options,
        versions_of("depthdeploy"),
    )
    return run.stage("legalize", LegalModel, depends=depends, make=make, describe=_describe_legal)


def _settings(rewrite: GraphPass) -> object:
    """A pass with the values of its fields: the same one with another limit gives another graph."""
    own = rewrite if is_dataclass(rewrite) and not isinstance(rewrite, type) else rewrite.name
    return type(rewrite).__qualname__, own


def _describe_legal(legal: LegalModel) -> tuple[None, str]:
    support = legal.support
    parts = [f"all {support.nodes} nodes accepted"]
    tail = legal.model.depth.tail
    if tail is not None:
        parts.append(f"the host computes {tail}")
    if legal.rewrites:
        parts.append(f"rewritten by {', '.join(legal.rewrites)}")
    if legal.approximations:
        parts.append(f"approximated: {', '.join(legal.approximations)}")
    if support.fallback_nodes:
        parts.append(f"{support.fallback_nodes} on the host")
    if support.slow:
        parts.append(f"{len({one.node for one in support.slow})} on a slower unit")
    if support.uncertain_nodes:
        parts.append(f"{support.uncertain_nodes} by uncertain rules")
    return None, "; ".join(parts)


def approximate(run: Run, network: Network, legal: LegalModel, photographs: Photographs) -> tuple[Evaluation, ...]:
    """What the approximations of a legal graph lose before anything is quantized; nothing where there are none."""
    if not legal.approximations:
        return ()

    def make(_: Path, progress: Progress) -> Emulated:
        session = inference.OnnxSession(legal.model.path)
        name = f"approximated FP32 ({', '.join(legal.approximations)})"
        reference = run.reference(network.exported.model)
        whole = Whole.of(legal.model.contract, session.predict, legal.model.tail)
        candidate = whole.candidate(name, inference.describe(), Evidence.APPROXIMATED, reference.model.contract)
        results = scoring.score(reference, candidate, photographs, gallery=False, progress=progress)
        return Emulated(tuple(one for result in results for one in result.evaluations), ())

    def describe(scored: Emulated) -> tuple[None, str]:
        return None, f"approximations alone: {scoring.loss_so_far(scored.evaluations, Evidence.APPROXIMATED)}"

    depends = (
        ("approximations", legal.approximations),
        network.exported.model.meaning,
        legal.model.sha256,
        _sets(photographs),
        versions_of("onnxruntime", "pillow"),
    )
    return run.stage("legalize", Emulated, depends=depends, make=make, describe=describe).evaluations


def keep_float(legal: LegalModel, goal: Destination) -> QuantizedModel:
    """The legal graph as it is, for a float precision."""
    return QuantizedModel(legal.model, legal, goal.precision, None)


def _sets(photographs: Photographs) -> list[object]:
    """What scores depend on and speak of: every photograph by content, name and stratum, and its labels."""
    return [
        (chosen.photoset.name, [(photo, chosen.photoset.labels_digest(photo)) for photo in chosen.selection.photos])
        for chosen in photographs.evaluations
    ]


def emulate(run: Run, network: Network, quantized: QuantizedModel, photographs: Photographs) -> Emulated:
    """The Q/DQ graph executed exactly, scored on every evaluation set."""

    def make(_: Path, progress: Progress) -> Emulated:
        session = inference.OnnxSession(quantized.model.path, exact=True)
        name = f"emulated {quantized.precision}"
        reference = run.reference(network.exported.model)
        whole = Whole.of(quantized.model.contract, session.predict, quantized.model.tail)
        ran_on = f"{inference.describe()}, Q/DQ in float"
        candidate = whole.candidate(name, ran_on, Evidence.EMULATED, reference.model.contract)
        results = scoring.score(reference, candidate, photographs, gallery=False, progress=progress)
        evaluations = tuple(one for result in results for one in result.evaluations)
        return Emulated(evaluations, tuple(remark for result in results for remark in result.remarks))

    def describe(emulated: Emulated) -> tuple[None, str]:
        return None, scoring.loss_so_far(emulated.evaluations, Evidence.EMULATED)

    depends = (
        network.exported.model.meaning,
        quantized.model.meaning,
        _sets(photographs),
        versions_of("onnxruntime", "pillow"),
    )
    return run.stage("emulate", Emulated, depends=depends, make=make, describe=describe)


def compile(run: Run, quantized: QuantizedModel, goal: Destination) -> CompiledArtifact:
    """The target's artifact, made by its driver.

    Raises:
        ToolchainMissing: the SDK is not installed; the job folder stays and the message says how to go on.
        ToolchainFailed: the SDK reported an error.
    """
    able = goal.target.capabilities

    def make(folder: Path, _: Progress) -> CompiledArtifact:
        place = folder / "artifact"
        place.mkdir()
        newest = able.opsets(goal.variant.name)[1]
        given = quantized
        if quantized.model.opset > newest:
            given = replace(quantized, model=in_opset(quantized.model, newest, folder / "handover.onnx"))
        return compile_artifact(given, goal.target, folder=place, jobs=run.store.root.parent / "jobs")

    def describe(artifact: CompiledArtifact) -> tuple[int, str]:
        made_by = ", ".join(f"{package} {found}" for package, found in artifact.versions.items())
        return artifact.size, f"{artifact.entry} by {made_by}"

    depends = (
        quantized.model.meaning,
        quantized.precision,
        able.target,
        goal.variant.name,
        dict(goal.target.settings(goal.variant.name, goal.precision)),
        versions_of(able.sdk, "depthdeploy"),
    )
    return run.stage("compile", CompiledArtifact, depends=depends, make=make, describe=describe)


def evaluate(
    run: Run, network: Network, artifact: CompiledArtifact, goal: Destination, photographs: Photographs
) -> Evaluated:
    """The artifact in its own runtime: fidelity, accuracy, latency and what was really executed."""
    able = goal.target.capabilities
    if not runs_here(able, goal.variant.name):
        remark = f"{goal} does not run on this machine ({cpu_name()}): the artifact itself is not evaluated."
        return Evaluated((), None, None, {}, None, (remark,))

    def make(folder: Path, progress: Progress) -> Evaluated:
        with open_runner(artifact, goal.target, threads=inference.threads()) as runner:
            reference = run.reference(network.exported.model)
            whole = Whole.of(artifact.contract or reference.model.contract, runner.predict, artifact.tail)
            return _run_artifact(folder, reference, (runner, whole), photographs, name=str(goal), progress=progress)

    def describe(evaluated: Evaluated) -> tuple[None, str]:
        return None, scoring.loss_so_far(evaluated.evaluations, Evidence.MEASURED)

    depends = (
        network.exported.model.meaning,
        artifact.files,
        str(goal),
        _sets(photographs),
        (cpu_name(), inference.threads()),
        versions_of(able.sdk, "onnxruntime", "pillow", "depthdeploy"),
    )
    return run.stage("evaluate", Evaluated, depends=depends, make=make, describe=describe)


def _run_artifact(
    folder: Path,
    reference: Reference,
    opened: tuple[Runner, Whole],
    photographs: Photographs,
    *,
    name: str,
    progress: Progress,
) -> Evaluated:
    runner, whole = opened
    candidate = whole.candidate(name, runner.describe(), Evidence.MEASURED, reference.model.contract)
    results = scoring.score(reference, candidate, photographs, gallery=True, progress=progress)
    first, own_first = _first_tensors(photographs, reference, whole)
    fp32, own = measure_paired(
        reference.session.predict,
        lambda _: whole.run(own_first),
        first,
        threads=inference.threads(),
        warmup=_WARMUP,
        ran_on=(f"{inference.describe()}, {cpu_name()}", candidate.ran_on),
    )
    gallery = folder / "gallery.npz"
    scoring.save_gallery([item for result in results for item in result.gallery], gallery)
    return Evaluated(
        evaluations=tuple(one for result in results for one in result.evaluations),
        fp32_latency=fp32,
        artifact_latency=own,
        operators=count_precisions(runner.profile(own_first)),
        gallery=gallery,
        remarks=tuple(remark for result in results for remark in result.remarks),
    )


def _first_tensors(
    photographs: Photographs, reference: Reference, whole: Whole
) -> tuple[NDArray[np.float32], NDArray[np.float32] | NDArray[np.uint8]]:
    """The first calibration photograph as each of the two networks takes it."""
    chosen = photographs.calibration
    image = chosen.photoset.image(chosen.selection.photos[0])
    return preprocess(image, reference.model.contract), whole.tensor(image)
