"""A plan as rows of text: what the terminal and the docs show."""

from __future__ import annotations

from collections.abc import Sequence

from depthdeploy.core.latency import LatencyEstimate
from depthdeploy.core.plan import Blocker, OperatorRow, Plan, TargetPlan
from depthdeploy.core.support import Rejection
from depthdeploy.core.target import Handover
from depthdeploy.report.tables import Table

_SHOWN_LAYERS = 10
_SHOWN_NODES = 3


def network_table(plan: Plan) -> Table:
    """What would go in."""
    network = plan.network
    size = network.size
    counted = ", ".join(f"{count:,} {operator}" for operator, count in network.operators.items())
    licence = network.licence or "not known"
    rows = (
        ("network", f"{network.name} ({network.source}), {network.input.height}x{network.input.width}"),
        ("graph", f"{network.graph}; opset {network.opset}"),
        ("licence", licence if network.commercial is not False else f"{licence}, no commercial use"),
        ("size", f"{size.parameters:,} parameters, {size.macs / 1e9:.2f} GMACs, {size.nodes:,} nodes"),
        ("operators", counted),
    )
    return Table("Network", ("", ""), rows, network.remarks)


def summary_table(plan: Plan) -> Table:
    """One row a target."""
    columns = (
        "target",
        "graph",
        "rewritten by",
        "slower unit",
        "host",
        "uncertain",
        "weights",
        "estimate",
        "SDK",
        "verdict",
    )
    return Table("Targets", columns, tuple(_summary(target) for target in plan.targets))


def _summary(target: TargetPlan) -> tuple[str, ...]:
    legal = target.legal
    refused = len({(one.node, one.operator) for one in target.refusals})
    slow = sum(row.slow for row in target.operators)
    return (
        target.name,
        f"{refused} refused" if refused else f"all {legal.nodes} accepted",
        f"{len(legal.rewrites)} passes" if legal.rewrites else "-",
        f"{slow} nodes" if slow else "-",
        f"{legal.fallback_nodes} nodes" if legal.fallback_nodes else "-",
        f"{legal.uncertain_nodes} nodes" if legal.uncertain_nodes else "-",
        "-" if target.memory is None else f"{target.memory.weight_bytes / 1e6:.1f} MB",
        "-" if target.latency is None else f"{target.latency.ms:.3g} ms",
        _sdk(target),
        "go" if not target.blockers else f"no: {', '.join(dict.fromkeys(one.stage for one in target.blockers))}",
    )


def _sdk(target: TargetPlan) -> str:
    chain = target.toolchain
    if not chain.driver:
        return "not driven yet"
    return chain.version or "missing"


def target_table(target: TargetPlan) -> Table:
    """All about one target but its lists."""
    legal, quantization, chain = target.legal, target.quantization, target.toolchain
    rows = [
        ("chip", f"{target.title}, {target.precision}"),
        ("graph", _graph(target)),
        ("rewritten by", ", ".join(legal.rewrites) or "nothing"),
        *([("approximated", ", ".join(legal.approximations))] if legal.approximations else []),
        ("stages", "; ".join(f"{one.stage}: {one.nodes} nodes, {one.parameters:,} parameters, "
                             f"{one.macs / 1e9:.2f} GMACs" for one in target.stages)),
        ("memory", _memory(target)),
        ("quantizer", quantization.quantizer),
        *([(_formats(target), f"weights {quantization.weights}, activations {quantization.activations}"),
           ("recipe", quantization.recipe)] if quantization.scheme else []),
        ("hand-over", f"{quantization.handover}, opset {legal.opset}"),
        *([("photographs", _photographs(target))] if target.calibration else []),
        ("toolchain", f"{chain.sdk} {chain.version}".strip() if chain.present else f"{_sdk(target)}: {chain.install}"),
        ("compile takes", target.seconds),
        ("latency (estimate)", _latency(target.latency)),
        *([("budget", _budget(target))] if target.budget else []),
    ]  # fmt: skip
    return Table(target.name, ("", ""), tuple(rows), _notes(target))


def _notes(target: TargetPlan) -> tuple[str, ...]:
    hosted, slow = grouped(target.fallbacks), grouped(target.slow)
    return (*(f"On the host: {line}" for line in hosted), *(f"Slower: {line}" for line in slow))


def grouped(said: Sequence[Rejection]) -> tuple[str, ...]:
    """One line for all nodes of one operator of which the same is said; the first nodes by name."""
    groups: dict[tuple[str, str, str], list[Rejection]] = {}
    for one in said:
        groups.setdefault((one.operator, one.rule, one.remedy), []).append(one)
    return tuple(_line(members) for members in groups.values())


def _line(members: Sequence[Rejection]) -> str:
    first, count = members[0], len(members)
    nodes = list(dict.fromkeys(one.node for one in members))
    names = ", ".join(nodes[:_SHOWN_NODES]) + (f" and {len(nodes) - _SHOWN_NODES} more" if count > _SHOWN_NODES else "")
    found = " or ".join(list(dict.fromkeys(one.found for one in members))[:_SHOWN_NODES])
    doubt = " (uncertain)" if first.uncertain else ""
    return f"{len(nodes)} {first.operator}: {first.rule}{doubt}, found {found}. {first.remedy} ({names})"


def _graph(target: TargetPlan) -> str:
    legal = target.legal
    parts = [f"{len({one.node for one in target.refusals})} of {legal.nodes} nodes or properties refused"]
    if not target.refusals:
        parts = [f"all {legal.nodes} nodes accepted"]
    if legal.fallback_nodes:
        parts.append(f"{legal.fallback_nodes} on {legal.host} ({100 * legal.fallback_macs:.2f} % of the MACs)")
    slow = sum(row.slow for row in target.operators)
    if slow:
        parts.append(f"{slow} on a slower unit")
    if legal.uncertain_nodes:
        parts.append(f"what is said of {legal.uncertain_nodes} rests on uncertain sources")
    return "; ".join(parts)


def _formats(target: TargetPlan) -> str:
    """Our number formats are what the chip gets, or what its own are emulated by."""
    return "formats" if target.quantization.handover == Handover.QDQ.value else "emulated by"


def _memory(target: TargetPlan) -> str:
    memory = target.memory
    if memory is None:
        return "not known: shapes are not static"
    return (
        f"{memory.weight_bytes / 1e6:.1f} MB of weights; at most {memory.activation_bytes / 1e6:.1f} MB of activations "
        f"at once (at {memory.widest})"
    )


def _photographs(target: TargetPlan) -> str:
    plan = target.calibration
    if plan is None:
        return ""
    found = "" if plan.images is None else f"{plan.images:,} of "
    typical = f"; the vendor's examples: {plan.typical}" if plan.typical else ""
    return f"{found}{plan.dataset}: {plan.verdict}{typical}"


def _latency(latency: LatencyEstimate | None) -> str:
    if latency is None:
        return "none: the chip's speed at this precision is not known"
    share = "" if latency.concurrent == 1 else f" on {100 * latency.concurrent:.0f} % of the chip"
    return (
        f"{latency.ms:.3g} ms ({latency.lower_ms:.3g} to {latency.upper_ms:.3g}){share}, "
        f"{latency.frames_per_second:.3g} frames per second; a roofline, not a measurement"
    )


def _budget(target: TargetPlan) -> str:
    answer = target.budget
    if answer is None:
        return ""
    return (
        f"{answer.budget_ms:g} ms ({answer.frames_per_second:.3g} frames per second): {answer.verdict.value}, "
        f"{answer.margin_ms:+.3g} ms at the estimate, {answer.worst_margin_ms:+.3g} ms at its upper end"
    )


def operator_table(target: TargetPlan) -> Table:
    """Operators accepted, rewritten away or made, refused."""
    columns = ("operator", "canonical", "handed over", "accelerator", "slower unit", "host", "refused")
    rows = tuple(
        (row.operator, *(f"{count}" if count else "-" for count in _counts(row)))
        for row in target.operators
    )  # fmt: skip
    return Table(f"Operators on {target.name}", columns, rows)


def _counts(row: OperatorRow) -> tuple[int, ...]:
    return row.before, row.after, row.accepted, row.slow, row.on_host, row.refused


def refusal_table(target: TargetPlan) -> Table:
    """Every refusal with its remedy."""
    columns = ("node", "operator", "rule", "found", "remedy")
    rows = tuple(
        (one.node, one.operator, f"{one.rule}{' (uncertain)' if one.uncertain else ''}", one.found, one.remedy)
        for one in target.refusals
    )
    return Table(f"Refused by {target.name}", columns, rows)


def layer_table(latency: LatencyEstimate, count: int = _SHOWN_LAYERS) -> Table:
    """The layers that take longest, by the estimate."""
    rows = tuple(
        (
            layer.name,
            "+".join((layer.operator, *layer.fused)),
            f"{layer.ms:.3f}",
            f"{100 * layer.ms / latency.ms:.1f}",
            layer.bound.value,
            f"{layer.macs / 1e6:.1f}",
            f"{layer.moved_bytes / 1e6:.2f}",
            layer.slow,
        )
        for layer in latency.slowest(count)
    )
    columns = ("layer", "operators", "ms (estimate)", "% of all", "bound by", "MMACs", "MB moved", "slower because")
    return Table(f"Slowest layers on {latency.title}", columns, rows, latency.notes)


def blocker_lines(plan: Plan) -> tuple[str, ...]:
    """What stands in the way, one line each; refused nodes have their table."""
    own = ((target.name, one) for target in plan.targets for one in target.blockers)
    return (
        *(f"{one.stage}: {_first_line(one)}" for one in plan.blockers),
        *(f"{name}: {one.stage}: {_first_line(one)}" for name, one in own),
    )


def _first_line(blocker: Blocker) -> str:
    first, _, rest = blocker.what.partition("\n")
    return f"{first.rstrip(':')}. {blocker.remedy}" if rest else f"{first} {blocker.remedy}"
