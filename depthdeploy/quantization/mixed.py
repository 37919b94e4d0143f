"""Mixed precision: the few nodes that a network needs in a wider form, found by measuring.

Trained networks lose most of their accuracy in a few layers; in depth networks the decoder's activations have outliers
that differ from channel to channel, which one scale per tensor serves badly (Shen et al. 2025, "QuartDepth").
The search is that of Pandey et al. 2023 ("A Practical Mixed Precision Algorithm for Post-Training Quantization"): rank
by SQNR at the network's output with one layer changed, then find how far down the ranking one must go by bisection on
the measured loss. Added are the time that every node costs, and a pass that takes back nodes that are not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from depthdeploy.core.findings import ParetoPoint
from depthdeploy.core.request import Drop
from depthdeploy.core.scheme import Escape
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.noise import layer_noises
from depthdeploy.quantization.plan import touching
from depthdeploy.quantization.ranking import NoiseSource, ranking, remaining, sources
from depthdeploy.quantization.sensitivity import sensitivity
from depthdeploy.quantization.strip import Strip
from depthdeploy.quantization.topology import load
from depthdeploy.quantization.trial import Nodes, Trials
from depthdeploy.quantization.workbench import Draft, Refined, Workbench

#: Photographs that the ranking looks at; the limits are judged on all of the search's.
_RANKED_ON = 8

#: Nodes that are tried back in the scheme's own formats at most, the most promising first.
_MOST_RETURNS = 16


@dataclass(frozen=True, slots=True)
class Goal:
    """What must be reached.

    Attributes:
        delta1: percent of pixels within 1.25 of FP32, at least.
        sqnr_db: dB, at least.
    """

    delta1: float = 0.0
    sqnr_db: float = 0.0

    def met(self, point: ParetoPoint) -> bool:
        """Whether a plan reaches both."""
        return point.delta1 >= self.delta1 and point.sqnr_db >= self.sqnr_db

    def __str__(self) -> str:
        parts = [f"delta1 {self.delta1:g} %"] if self.delta1 else []
        return " and ".join(parts + ([f"{self.sqnr_db:g} dB"] if self.sqnr_db else []))


@dataclass(frozen=True, slots=True)
class MixedPrecision:
    """Give the fewest operations a wider form so that the user's limits hold.

    The loss is measured on calibration photographs, which are all there is: the ranges were chosen on the same ones, so
    that on others the loss is a little larger. Learned weights already lie on their grids; a node that leaves the
    scheme keeps them, so that this step belongs before those that learn.

    Attributes:
        images: how many calibration photographs the limits are judged on.
        escape: which of the target's wider forms; the cheapest when empty.
        sqnr_db: a further aim besides the limits: SQNR of the network's output; none when 0.
    """

    images: int = 16
    escape: str = ""
    sqnr_db: float = 0.0

    def __post_init__(self) -> None:
        if self.images < 1 or self.sqnr_db < 0:
            raise ValueError(f"images is at least 1 and sqnr_db not negative, got {self.images}, {self.sqnr_db}")

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        """Search, and take the cheapest plan that reaches the goal, or the best one when none does.

        Raises:
            QuantizationError: the target has no wider form of the given name.
            ModelError: ONNX Runtime refuses the graph.
        """
        goal, conceded = _goal(bench.limits, self.sqnr_db)
        escape = _escape(bench, self.escape)
        if escape is None:
            without = f"scheme {bench.scheme.name} has no wider form: nothing can leave it"
            return Refined(draft, "no node left the scheme", (*conceded, without))
        if goal == Goal():
            without = "no limit to aim at: give --max-drop delta1=POINTS, or sqnr_db in the recipe"
            return Refined(draft, "no node left the scheme", (*conceded, without))
        trials = Trials.of(draft, bench, escape, images=self.images)
        points: dict[Nodes, ParetoPoint] = {}

        def measure(escaped: Nodes) -> ParetoPoint:
            if escaped not in points:
                points[escaped] = trials.measure(escaped)
                bench.progress(len(points), len(points) + 1)
            return points[escaped]

        if not goal.met(measure(frozenset())):
            draft = _searched(draft, trials, goal, measure)
        chosen = _best(points, goal)
        if not goal.met(points[chosen]):
            conceded = (*conceded, f"{goal} was not reached: {_figures(points[chosen])} is the best that was found")
        findings = replace(draft.findings, pareto=frontier(points, chosen), escape=escape.name)
        figures = f"{_figures(points[chosen])}, from {_figures(points[frozenset()])}"
        count = len(points[chosen].escaped)
        detail = f"{count} {'node' if count == 1 else 'nodes'} in {escape.name} for {goal}: {figures}"
        return Refined(replace(draft, plan=trials.plan(chosen), findings=findings), detail, conceded)


def _goal(limits: Iterable[Drop], sqnr_db: float) -> tuple[Goal, tuple[str, ...]]:
    judged = [100.0 - drop.limit for drop in limits if drop.metric == "delta1"]
    left = tuple(
        f"mixed precision did not aim at {drop.metric}={drop.limit:g}: calibration photographs have no labels"
        for drop in limits
        if drop.metric != "delta1"
    )
    return Goal(max(judged, default=0.0), sqnr_db), left


def _escape(bench: Workbench, name: str) -> Escape | None:
    known = {escape.name: escape for escape in bench.scheme.escapes}
    if not name:
        return min(known.values(), key=lambda escape: escape.cost, default=None)
    if name not in known:
        raise QuantizationError(
            f"Scheme {bench.scheme.name} has no wider form {name!r}.",
            f"It has {', '.join(known)}." if known else "It has none: leave mixed precision out.",
        )
    return known[name]


def _searched(draft: Draft, trials: Trials, goal: Goal, measure: Callable[[Nodes], ParetoPoint]) -> Draft:
    """Measure plans until the cheapest that reaches the goal is known; the draft with its sensitivities."""
    photographs = trials.photographs[:_RANKED_ON]
    noises = layer_noises(Strip.of(load(draft.model)), draft.plan, photographs)
    bench, bits = trials.bench, trials.bench.scheme.activations.bits
    every = sources(noises, touching(trials.graph, draft.statistics, bench.scheme))
    moves = ranking(every, trials.work, trials.escape, bits)
    reached = _descend(moves, goal, measure, bench)
    if reached is not None:
        _take_back(reached, every, goal, measure, trials)
    if draft.findings.sensitivity:
        return draft
    rows = sensitivity(draft.model, draft.plan, noises, photographs, bench.folder)
    return replace(draft, findings=replace(draft.findings, sensitivity=rows))


def _descend(
    moves: Sequence[Nodes], goal: Goal, measure: Callable[[Nodes], ParetoPoint], bench: Workbench
) -> Nodes | None:
    """The shortest beginning of the ranking that reaches the goal: 1, 2, 4, ... moves, then bisection."""

    def beginning(count: int) -> Nodes:
        return frozenset().union(*moves[:count])

    low, high = 0, 1
    while high < len(moves) and bench.deadline.left > 0 and not goal.met(measure(beginning(high))):
        low, high = high, 2 * high
    high = min(high, len(moves))
    if not goal.met(measure(beginning(high))):
        return None
    while high - low > 1 and bench.deadline.left > 0:
        middle = (low + high) // 2
        low, high = (low, middle) if goal.met(measure(beginning(middle))) else (middle, high)
    return beginning(high)


def _take_back(
    reached: Nodes, every: Sequence[NoiseSource], goal: Goal, measure: Callable[[Nodes], ParetoPoint], trials: Trials
) -> None:
    """Try nodes back in the scheme, those first that save most time for the noise they bring."""
    bits = trials.bench.scheme.activations.bits

    def rate(node: str) -> tuple[float, str]:
        return remaining(every, reached - {node}, trials.escape, bits) / trials.work[node], node

    for node in sorted(reached, key=rate)[:_MOST_RETURNS]:
        if trials.bench.deadline.left > 0 and goal.met(measure(reached - {node})):
            reached -= {node}


def _best(points: dict[Nodes, ParetoPoint], goal: Goal) -> Nodes:
    """The cheapest plan that reaches the goal; when none does, the one nearest to it."""
    met = [escaped for escaped, point in points.items() if goal.met(point)]
    if met:
        return min(met, key=lambda escaped: (points[escaped].cost, len(escaped), sorted(escaped)))

    def shortfall(escaped: Nodes) -> tuple[float, float]:
        point = points[escaped]
        return max(0.0, goal.delta1 - point.delta1), -point.sqnr_db

    return min(points, key=shortfall)


def frontier(points: dict[Nodes, ParetoPoint], chosen: Nodes) -> tuple[ParetoPoint, ...]:
    """The measured plans of which none is both cheaper and closer to FP32, by cost; the first and the chosen stay."""
    kept: list[ParetoPoint] = []
    for escaped, point in sorted(points.items(), key=lambda item: (item[1].cost, -item[1].sqnr_db, item[0] != chosen)):
        if escaped == chosen or not kept or point.sqnr_db > max(one.sqnr_db for one in kept):
            kept.append(replace(point, chosen=escaped == chosen))
    return tuple(kept)


def _figures(point: ParetoPoint) -> str:
    return f"delta1 {point.delta1:.2f} %, {point.sqnr_db:.2f} dB, time x {point.cost:.2f}"
