"""The stages in order. Read this first.

::

     once per model                                 once per target
     export -> canonicalize ->  legalize -> calibrate -> quantize -> emulate -> compile -> evaluate

Every stage is a function of frozen values whose result is stored under the digest of all it depends on.
"""

from __future__ import annotations

from pathlib import Path

from depthdeploy.core.progress import Listener
from depthdeploy.core.request import CompileRequest
from depthdeploy.errors import DepthdeployError, UsageError
from depthdeploy.pipeline import model_stages as model
from depthdeploy.pipeline import target_stages as target
from depthdeploy.pipeline.assemble import Made, assemble
from depthdeploy.pipeline.destination import Destination, resolve
from depthdeploy.pipeline.limits import over_the_limit
from depthdeploy.pipeline.memory import return_freed
from depthdeploy.pipeline.outcome import Outcome, TargetResult
from depthdeploy.pipeline.photographs import Photographs, choose
from depthdeploy.pipeline.publish import place, publish
from depthdeploy.pipeline.run import Run
from depthdeploy.pipeline.store import Store
from depthdeploy.quantization.observers import parse_observer

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
    parse_observer(request.observer)  # a wrong name is told now, not after minutes of export
    destinations = resolve(request)
    run = Run(Store(cache / "stages"), listener)
    photographs = choose(request)
    for chosen in (photographs.calibration, *photographs.evaluations):
        for remark in chosen.photoset.remarks:
            run.remark(f"{chosen.photoset.name}: {remark}")
    exported = model.export(run, request, photographs, cache=cache)
    if request.until == "export":
        return Outcome(())
    network = model.canonicalize(run, exported, photographs)
    if not all(record.cached for record in run.records):
        return_freed()  # what PyTorch and the passes freed: calibration's peak would stand on top of it
    if request.until == "canonicalize":
        return Outcome(())
    return Outcome(tuple(_row(run, request, network, photographs, goal) for goal in destinations))


def _row(
    run: Run, request: CompileRequest, network: model.Network, photographs: Photographs, goal: Destination
) -> TargetResult:
    """One target's result, or its error."""
    own = run.for_target(str(goal))
    try:
        return _compile_for(own, request, network, photographs, goal)
    except DepthdeployError as error:
        run.listener.failed(str(goal), error)
        return TargetResult(str(goal), None, None, error)


def _compile_for(
    run: Run, request: CompileRequest, network: model.Network, photographs: Photographs, goal: Destination
) -> TargetResult:
    """The stages of one target."""
    last = STAGES.index(request.until)
    legal = target.legalize(run, network, goal)
    if goal.scheme is None or last < STAGES.index("calibrate"):
        quantized = target.keep_float(legal, goal)
        emulated = target.Emulated((), ())
    else:
        statistics = target.calibrate(run, legal, photographs, request.observer)
        if last < STAGES.index("quantize"):
            return TargetResult(str(goal), None, None, None)
        quantized = target.quantize(run, legal, statistics, goal)
        if last < STAGES.index("emulate"):
            return TargetResult(str(goal), None, None, None)
        emulated = target.emulate(run, network, quantized, photographs)
    if last < STAGES.index("compile"):
        return TargetResult(str(goal), None, None, None)
    artifact = target.compile(run, quantized, goal)
    if last < STAGES.index("evaluate"):
        return TargetResult(str(goal), artifact.folder, None, None)
    evaluated = target.evaluate(run, network, artifact, goal, photographs)
    made = Made(quantized, emulated, artifact, evaluated)
    report = assemble(run, request, network, photographs, made=made, goal=goal)
    folder = request.out / place(network, goal)
    publish(report, made, folder)
    error = over_the_limit(report.evaluations, request.max_drop, str(goal))
    if error is not None:
        run.listener.failed(str(goal), error)
    return TargetResult(str(goal), folder, report, error)
