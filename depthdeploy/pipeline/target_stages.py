"""The stages once per target that have no file of their own: ``emulate``, ``compile`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy import inference
from depthdeploy.core.machine import cpu_name, runs_here
from depthdeploy.core.metrics import Evaluation, Evidence, Latency
from depthdeploy.core.model import CompiledArtifact, LegalModel, QuantizedModel
from depthdeploy.core.progress import Progress
from depthdeploy.imaging.preprocess import preprocess
from depthdeploy.pipeline import scoring
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.handover import in_opset
from depthdeploy.pipeline.model_stages import Network, versions_of
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


def keep_float(legal: LegalModel, goal: Destination) -> QuantizedModel:
    """The legal graph as it is, for a float precision."""
    return QuantizedModel(legal.model, legal, goal.precision, None)


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
        scoring.sets_of(photographs),
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
        scoring.sets_of(photographs),
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
