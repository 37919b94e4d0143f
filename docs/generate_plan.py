"""Writes ``docs/plans.md``: what ``depthdeploy plan`` says of the zoo on every chip.

``python docs/generate_plan.py`` rewrites the file. It depends on the data of the targets and on the outlines of the zoo
alone: not on what is installed, nor on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from depthdeploy import api
from depthdeploy.core.plan import Plan, TargetPlan
from depthdeploy.core.request import CompileRequest
from depthdeploy.registry import targets
from depthdeploy.report.markdown import rendered
from depthdeploy.report.plan_tables import grouped, network_table, operator_table, refusal_table
from depthdeploy.report.tables import Table

TARGET = Path(__file__).parent / "plans.md"

#: The networks of the page, with the sizes that users ask for; the first is shown operator by operator.
NETWORKS: tuple[tuple[str, tuple[int, int] | None], ...] = (
    ("depth-anything-v2-small", None),
    ("midas-v21-small", None),
    ("midas-v21-small", (288, 512)),
    ("midas-v21-small", (384, 672)),
    ("dpt-hybrid", None),
    ("fastdepth", None),
)

_HEAD = """# Plans

What `depthdeploy plan --model MODEL --target TARGET` says of the zoo on every chip that there is data for. Made by
`docs/generate_plan.py` from the packaged outlines: no weights, no vendor's SDK.

Rules come from the vendors' documents and code, each with its source in the target's `capabilities.toml`; the last
column counts the nodes of which what is said, acceptance too, rests on second-hand or contradicted sources.
Latencies are [estimates](latency-estimates.md), with the interval of their error, and were measured on no chip.
"""


def text() -> str:
    """The whole page."""
    lines = [_HEAD]
    for number, (model, size) in enumerate(NETWORKS):
        lines += _section(planned(model, size), whole=number == 0)
    return "\n".join(lines)


def planned(model: str, size: tuple[int, int] | None) -> Plan:
    """The plan of one network on every variant of every target."""
    everywhere = tuple(f"{target}:{variant}" for target in targets for variant in targets[target].capabilities.variants)
    return api.plan(CompileRequest(targets=everywhere, model=model, size=size))


def _section(plan: Plan, *, whole: bool) -> Iterator[str]:
    contract = plan.network.input
    yield f"## {plan.network.name}, {contract.height}x{contract.width}"
    yield ""
    yield from list(rendered(network_table(plan)))[2:]
    yield from list(rendered(_summary(plan)))[2:]
    for target in plan.targets:
        yield from (line.replace("## ", "### ", 1) for line in rendered(refusal_table(target)))
    yield from _remarks(plan.targets)
    for target in _representative(plan.targets) if whole else ():
        yield from (line.replace("## ", "### ", 1) for line in rendered(operator_table(target)))


def _summary(plan: Plan) -> Table:
    columns = (
        "target",
        "graph",
        "rewritten by",
        "slower unit",
        "host",
        "hand-over",
        "quantizer",
        "estimate",
        "uncertain",
    )
    return Table("Targets", columns, tuple(_row(target) for target in plan.targets))


def _row(target: TargetPlan) -> tuple[str, ...]:
    legal, latency = target.legal, target.latency
    refused = len({one.node for one in target.refusals})
    slow = sum(row.slow for row in target.operators)
    return (
        target.name,
        f"{refused} of {legal.nodes} refused" if refused else f"all {legal.nodes} nodes",
        ", ".join(legal.rewrites) or "-",
        f"{slow} nodes" if slow else "-",
        f"{legal.fallback_nodes} nodes, {100 * legal.fallback_macs:.1f} % of MACs" if legal.fallback_nodes else "-",
        f"{target.quantization.handover}, opset {legal.opset}",
        target.quantization.quantizer,
        "-" if latency is None else f"{latency.ms:.3g} ms ({latency.lower_ms:.3g} to {latency.upper_ms:.3g})",
        f"{legal.uncertain_nodes} nodes" if legal.uncertain_nodes else "-",
    )


def _remarks(plans: tuple[TargetPlan, ...]) -> Iterator[str]:
    """What runs slower or on the host, once for all the variants of which the same is said."""
    said: dict[str, list[str]] = {}
    for target in plans:
        for label, lines in (("slower", target.slow), ("on the host", target.fallbacks)):
            for line in grouped(lines):
                said.setdefault(f"{label}: {line}", []).append(f"{target.target}:{target.variant}")
    if said:
        yield from ("Nodes that run elsewhere:", "")
        yield from (f"- {line} ({', '.join(names)})" for line, names in said.items())
        yield ""


def _representative(plans: tuple[TargetPlan, ...]) -> tuple[TargetPlan, ...]:
    """Of every target, the first variant of each different table of operators."""
    seen: dict[tuple[str, object], TargetPlan] = {}
    for target in plans:
        seen.setdefault((target.target, target.operators), target)
    return tuple(seen.values())


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
