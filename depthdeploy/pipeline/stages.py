"""The stages in order. Read this first.

::

     once per model                                 once per target
     export -> canonicalize ->  legalize -> calibrate -> quantize -> emulate -> compile -> evaluate

Every stage is a function of frozen values whose result is stored under the digest of all it depends on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from depthdeploy.core.progress import Listener
from depthdeploy.core.request import CompileRequest
from depthdeploy.errors import DepthdeployError, UsageError
from depthdeploy.memory import return_freed
from depthdeploy.pipeline import model_stages as model
from depthdeploy.pipeline import target_stages as target
from depthdeploy.pipeline.approach import approach_of
from depthdeploy.pipeline.assemble import Inputs, Made, assemble
from depthdeploy.pipeline.destination import Destination, resolve
from depthdeploy.pipeline.ends import finish_ends
from depthdeploy.pipeline.handover import hand_over, not_driven
from depthdeploy.pipeline.legal_stages import approximate, legalize
from depthdeploy.pipeline.limits import over_the_limit
from depthdeploy.pipeline.outcome import Outcome, TargetResult
from depthdeploy.pipeline.photographs import choose
from depthdeploy.pipeline.publish import place, publish
from depthdeploy.pipeline.quantize_stages import calibrate, quantize
from depthdeploy.pipeline.run import Run
from depthdeploy.pipeline.store import Store

#: The fixed names, in order.
STAGES = ("export", "canonicalize", "legalize", "calibrate", "quantize", "emulate", "compile", "evaluate")


def compile_network(request: CompileRequest, listener: Listener, *, cache: Path) -> Outcome:
    """Take one network through every stage, for every target of the request.

    What concerns all targets raises; what concerns one stands in its row of the outcome and the others go on.

    Raises:
        DepthdeployError: the request, the network or the photographs.
    """
    if request.until not in STAGES:
        raise UsageError(f"--until {request.until!r} is no stage.", f"Give one of {', '.join(STAGES)}.")
    destinations = resolve(request)
    quantizes = _reaches(request, "calibrate") and any(goal.scheme for goal in destinations)
    approach = approach_of(request, quantizes=quantizes)
    run = Run(Store(cache / "stages"), listener)
    photographs = choose(request, approach.recipe if quantizes else None)
    for chosen in (photographs.calibration, *photographs.evaluations):
        for remark in chosen.photoset.remarks:
            run.remark(f"{chosen.photoset.name}: {remark}")
    if photographs.few:
        run.remark(photographs.few)
    exported = model.export(run, request, photographs, cache=cache)
    if request.until == "export":
        return Outcome(())
    network = model.canonicalize(run, exported, photographs)
    if not all(record.cached for record in run.records):
        return_freed()  # what PyTorch and the passes freed: calibration's peak would stand on top of it
    if request.until == "canonicalize":
        return Outcome(())
    inputs = Inputs(request, approach, network, photographs)
    return Outcome(tuple(_row(run, inputs, goal) for goal in destinations))


def _reaches(request: CompileRequest, stage: str) -> bool:
    return STAGES.index(request.until) >= STAGES.index(stage)


def _row(run: Run, inputs: Inputs, goal: Destination) -> TargetResult:
    """One target's result, or its error."""
    own = run.for_target(str(goal))
    try:
        return _compile_for(own, inputs, goal)
    except DepthdeployError as error:
        run.listener.failed(str(goal), error)
        return TargetResult(str(goal), None, None, error)


def _compile_for(run: Run, inputs: Inputs, goal: Destination) -> TargetResult:
    """The stages of one target."""
    request, network, photographs = inputs.request, inputs.network, inputs.photographs
    nothing = TargetResult(str(goal), None, None, None)
    legal = legalize(run, network, photographs, goal, allowances=request.allowances, options=request.ends)
    wanted = request.ends.shaped(network.model.contract)
    approximated = approximate(run, network, legal, photographs) if _reaches(request, "emulate") else ()
    if goal.scheme is None or not _reaches(request, "calibrate"):
        quantized = finish_ends(run, target.keep_float(legal, goal), wanted)
        emulated = target.Emulated((), ())
    else:
        calibrated = calibrate(run, legal, photographs, goal, inputs.approach)
        if not _reaches(request, "quantize"):
            return nothing
        quantized = quantize(run, legal, calibrated, photographs, goal=goal, approach=inputs.approach)
        quantized = finish_ends(run, quantized, wanted)
        nothing = replace(nothing, findings=quantized.findings)
        if not _reaches(request, "emulate"):
            return nothing
        emulated = target.emulate(run, network, quantized, photographs)
    if not _reaches(request, "compile"):
        return nothing
    driven = bool(goal.target.capabilities.driver)
    artifact = target.compile(run, quantized, goal) if driven else hand_over(run, legal, quantized, goal)
    if not _reaches(request, "evaluate"):
        return replace(nothing, folder=artifact.folder)
    evaluated = target.evaluate(run, network, artifact, goal, photographs)
    return _reported(run, inputs, goal, Made(approximated, quantized, emulated, artifact, evaluated))


def _reported(run: Run, inputs: Inputs, goal: Destination, made: Made) -> TargetResult:
    """What was made, in the user's folder; an error where it is less than was asked for."""
    report = assemble(run, inputs, made=made, goal=goal)
    folder = inputs.request.out / place(inputs.network, goal)
    publish(report, made, folder)
    error: DepthdeployError | None = over_the_limit(report.evaluations, inputs.request.max_drop, str(goal))
    if error is None and not goal.target.capabilities.driver:
        error = not_driven(goal, folder, made.artifact)
    if error is not None:
        run.listener.failed(str(goal), error)
    return TargetResult(str(goal), folder, report, error, made.quantized.findings)
