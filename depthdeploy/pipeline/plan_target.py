"""The plan for one target: its rewrites and refusals, memory, quantizer, photographs, toolchain and estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import onnx_ir as ir

from depthdeploy.core.ends import EndOptions
from depthdeploy.core.latency import LatencyEstimate, Verdict
from depthdeploy.core.plan import (
    Blocker,
    Budget,
    CalibrationPlan,
    MemoryPlan,
    OperatorRow,
    QuantizationPlan,
    TargetPlan,
    ToolchainPlan,
)
from depthdeploy.core.recipe import Recipe
from depthdeploy.core.support import Allowances, Support
from depthdeploy.core.target import GraphPass, TimedTarget
from depthdeploy.errors import LatencyError, ToolchainMissing
from depthdeploy.estimate import estimate
from depthdeploy.graph.legalize import judge, rewrite
from depthdeploy.graph.memory import constants_of, largest_live_set
from depthdeploy.graph.support import refusal
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.ends import of_the_graph, open_graph
from depthdeploy.pipeline.legal_record import legalization
from depthdeploy.pipeline.photographs import Photographs
from depthdeploy.pipeline.plan_network import Blueprint, blocker, graph_size
from depthdeploy.pipeline.plan_time import compile_time

#: Bytes of a value.
_BYTES = {"int8": 1, "int16": 2, "fp16": 2, "fp32": 4}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the plans of all targets share.

    Attributes:
        recipe: how a quantized target would be quantized.
        photographs: what would calibrate and evaluate; ``None`` when they cannot be had here.
        calibration: what was asked to calibrate, for the plan's words.
        allowances: of the request.
        ends: of the request.
        budget: of the request; ``None`` without one.
        inference_ms: estimate of one FP32 inference on this machine; ``None`` when nothing is known of it.
    """

    recipe: Recipe
    photographs: Photographs | None
    calibration: str
    allowances: Allowances
    ends: EndOptions
    budget: Budget | None
    inference_ms: float | None


@dataclass(frozen=True, slots=True)
class _Rewritten:
    """A graph as every variant of a target with the same passes gets it, and the passes that changed something."""

    graph: ir.Model
    rewrites: tuple[str, ...]


def plan_targets(blueprint: Blueprint, goals: Sequence[Destination], terms: Terms) -> tuple[TargetPlan, ...]:
    """The plans for all targets; variants that need the same rewrites share one graph.

    Raises:
        UsageError: an approximation is unknown or changes nothing in this network.
    """
    known: dict[tuple[str, tuple[GraphPass, ...]], _Rewritten] = {}
    plans = []
    for goal in goals:
        passes = tuple(goal.target.lowering(goal.variant.name))
        key = (goal.name, passes)
        if key not in known:
            known[key] = _rewritten(blueprint, goal, terms, passes)
        plans.append(_plan(blueprint, goal, terms, known[key]))
    return tuple(plans)


def _rewritten(blueprint: Blueprint, goal: Destination, terms: Terms, passes: Sequence[GraphPass]) -> _Rewritten:
    asked = terms.allowances
    opened = open_graph(blueprint.graph.clone(), blueprint.network.input, goal, terms.ends, asked.approximate)
    return _Rewritten(opened.graph, rewrite(opened.graph, passes, of_the_graph(asked).approximate))


def _plan(blueprint: Blueprint, goal: Destination, terms: Terms, rewritten: _Rewritten) -> TargetPlan:
    """The plan for one target; the graph is left as it is."""
    graph, able = rewritten.graph, goal.target.capabilities
    made = judge(
        graph,
        goal.target,
        goal.variant.name,
        rewrites=rewritten.rewrites,
        approximations=terms.allowances.approximate,
    )
    toolchain = _toolchain(goal)
    latency = _latency(graph, goal, terms.budget)
    budget_ms = terms.budget.ms if terms.budget is not None else None
    budget = latency.fits(budget_ms) if latency is not None and budget_ms is not None else None
    blockers = (
        *_graph_blockers(made.support, goal, terms),
        *_toolchain_blockers(toolchain, goal),
        *_budget_blockers(latency, budget_ms, goal),
    )
    return TargetPlan(
        target=goal.name,
        variant=goal.variant.name,
        title=goal.variant.title,
        precision=goal.precision,
        operators=_operators(blueprint, made.given, made.support),
        stages=(blueprint.network.size, graph_size("legalize", graph)),
        legal=legalization(made, able, opset=made.handover),
        refusals=made.support.rejections,
        fallbacks=made.support.fallbacks,
        slow=made.support.slow,
        memory=_memory(graph, goal.precision),
        quantization=_quantization(goal, terms.recipe),
        calibration=_calibration(goal, terms),
        toolchain=toolchain,
        latency=latency,
        budget=budget,
        seconds=compile_time(terms.inference_ms, goal, terms.recipe, terms.photographs),
        blockers=blockers,
    )


def _graph_blockers(support: Support, goal: Destination, terms: Terms) -> list[Blocker]:
    error = refusal(support, goal.target.capabilities, terms.allowances.fallback)
    return [] if error is None else [blocker("legalize", error)]


def _operators(blueprint: Blueprint, given: ir.Model, support: Support) -> tuple[OperatorRow, ...]:
    """Nodes of the graph as the compiler is given it, by operator and by what becomes of them."""
    before, after = blueprint.network.operators, Counter(node.op_type for node in given.graph.all_nodes())
    kinds = {node.name: node.op_type for node in given.graph.all_nodes()}
    refused, hosted, slow = (
        Counter(kinds[name] for name in {one.node for one in said} if name in kinds)
        for said in (support.rejections, support.fallbacks, support.slow)
    )
    names = sorted({*before, *after}, key=lambda name: (-after[name], -before.get(name, 0), name))
    return tuple(
        OperatorRow(name, before.get(name, 0), after[name], refused[name], hosted[name], slow[name]) for name in names
    )


def _memory(graph: ir.Model, precision: str) -> MemoryPlan | None:
    live = largest_live_set(graph)
    if live is None:
        return None
    size = _BYTES[precision]
    return MemoryPlan(constants_of(graph) * size, live.values * size, live.node)


def _quantization(goal: Destination, recipe: Recipe) -> QuantizationPlan:
    able, scheme = goal.target.capabilities, goal.scheme
    if scheme is None:
        return QuantizationPlan(f"nobody: {goal.precision}", "", "", "", "", "float onnx")
    steps = ", ".join(step.algorithm for step in (*recipe.prepare, *recipe.refine)) or "no algorithm besides"
    return QuantizationPlan(
        quantizer=able.quantizer,
        scheme=scheme.name,
        weights=str(scheme.weights),
        activations=str(scheme.activations),
        recipe=f"{recipe.name}: {recipe.observer} ranges; {steps}",
        handover=able.handover.value,
    )


def _calibration(goal: Destination, terms: Terms) -> CalibrationPlan | None:
    if goal.scheme is None:
        return None
    advice = goal.target.capabilities.calibration
    found = None if terms.photographs is None else len(terms.photographs.calibration.selection.photos)
    return CalibrationPlan(
        dataset=terms.calibration,
        images=found,
        recipe=terms.recipe.images,
        vendor=advice.minimum,
        typical=advice.typical,
        source=advice.source,
        verdict=_enough(found, terms.recipe.images, advice.minimum),
    )


def _enough(found: int | None, recipe: int, vendor: int) -> str:
    if found is None:
        return "not known: the photographs cannot be opened here"
    if found < recipe:
        return f"fewer than the recipe's {recipe:,}"
    return "enough" if found >= vendor else f"enough for us, fewer than the {vendor:,} of the vendor's own tuning"


def _toolchain(goal: Destination) -> ToolchainPlan:
    able = goal.target.capabilities
    try:
        found = version(able.sdk) if able.sdk else ""
    except PackageNotFoundError:
        found = ""
    return ToolchainPlan(able.sdk, found, bool(able.driver), able.install)


def _toolchain_blockers(toolchain: ToolchainPlan, goal: Destination) -> list[Blocker]:
    if toolchain.present:
        return []
    title = goal.target.capabilities.title
    what = f"{toolchain.sdk} is not installed." if toolchain.driver else f"This version does not drive {title}'s SDK."
    remedy = toolchain.install if toolchain.driver else "Compile by hand what `depthdeploy compile` hands over."
    return [blocker("compile", ToolchainMissing(what, remedy))]


def _latency(graph: ir.Model, goal: Destination, budget: Budget | None) -> LatencyEstimate | None:
    """The estimate, where the chip's performance is known at this precision and every shape is static."""
    known = goal.target.performance if isinstance(goal.target, TimedTarget) else {}
    performance = known.get(goal.variant.name)
    if performance is None or goal.precision not in performance.peaks or largest_live_set(graph) is None:
        return None
    return estimate(graph, performance, goal.precision, concurrent=budget.concurrent if budget else 1.0)


def _budget_blockers(latency: LatencyEstimate | None, budget_ms: float | None, goal: Destination) -> list[Blocker]:
    """A time that is not held by any end of the interval, or of which nothing can be said."""
    if budget_ms is None:
        return []
    if latency is None:
        what = f"Nothing is known of the speed of {goal}, so that {budget_ms:g} ms cannot be judged."
        return [blocker("latency", LatencyError(what, "Leave --budget-ms out, or measure on the chip."))]
    if latency.fits(budget_ms).verdict is not Verdict.MISSED:
        return []
    error = LatencyError(
        f"An inference on {goal} is estimated at {latency.ms:.3g} ms ({latency.lower_ms:.3g} to "
        f"{latency.upper_ms:.3g}), and {budget_ms:g} ms are allowed.",
        "Try a smaller --size, a lower --precision, or a faster chip.",
    )
    return [blocker("latency", error)]
