"""``plan``: everything that can be known before anything is compiled."""

from __future__ import annotations

from pathlib import Path

from depthdeploy import __version__
from depthdeploy.core.plan import PLAN_SCHEMA, Blocker, Budget, Plan
from depthdeploy.core.progress import Listener
from depthdeploy.core.request import CompileRequest
from depthdeploy.errors import DepthdeployError, ToolchainMissing
from depthdeploy.pipeline.approach import approach_of
from depthdeploy.pipeline.destination import resolve
from depthdeploy.pipeline.photographs import Photographs, choose
from depthdeploy.pipeline.plan_network import blocker, blueprint
from depthdeploy.pipeline.plan_target import Terms, plan_targets
from depthdeploy.pipeline.plan_time import inference_time
from depthdeploy.quantization.recipes import load_recipe


def plan_network(request: CompileRequest, listener: Listener, *, cache: Path, budget: Budget | None = None) -> Plan:
    """What ``compile`` would do with a request, and where it would stop.

    Only what makes the question itself meaningless raises. A licence, photographs that are missing, refused nodes and
    absent toolchains are blockers of the plan, with the exit code that ``compile`` would end with.

    Raises:
        UsageError: an unknown name, contradictory options, an approximation that changes nothing.
        ModelError: the network cannot be found, built or read at this size.
    """
    destinations = resolve(request)
    quantizes = any(goal.scheme for goal in destinations)
    blockers: list[Blocker] = []
    try:
        recipe = approach_of(request, quantizes=quantizes).recipe
    except ToolchainMissing as error:  # PyTorch, for a recipe that learns
        recipe = load_recipe(request.recipe)
        blockers.append(blocker("quantize", error))
    network = blueprint(request, listener, cache=cache)
    photographs: Photographs | None = None
    try:
        photographs = choose(request, recipe if quantizes else None)
    except DepthdeployError as error:
        blockers.append(blocker("calibrate", error))
    terms = Terms(
        recipe=recipe,
        photographs=photographs,
        calibration=request.calibration,
        allowances=request.allowances,
        ends=request.ends,
        budget=budget,
        inference_ms=inference_time(network.graph),
    )
    targets = plan_targets(network, destinations, terms)
    return Plan(PLAN_SCHEMA, __version__, network.network, targets, (*blockers, *network.blockers))
