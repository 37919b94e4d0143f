"""Tables of the page, as Markdown: goals, results by network and judge, tools, the memory curve, sensitive layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from page.goals import MB_PER_MIB, Goal, Results
from page.sensitivity import Layer, worst
from page.tools import PER_CHANNEL, is_ours, marked, networks
from quantizers.memory_rows import MemoryRow
from quantizers.rows import JUDGES, Row

FOOTNOTE = "¹ Activations before depthwise layers have a grid per channel: another scheme than `nncf-tensor` and ours."

_TITLES = {
    "exact": "executed exactly",
    "onnxruntime": "ONNX Runtime's kernels",
    "openvino": "OpenVINO's kernels",
}
_HEADS = ("tool", "images", "SQNR dB", "SQNR p5", "delta1 %", "delta1 p5", "seconds", "peak MiB")
_KERNEL_HEADS = ("tool", "SQNR dB", "SQNR p5", "delta1 %", "delta1 p5", "to exact dB", "ms", "to FP32", "to peer")

#: Letters of a refusal that are shown.
_REFUSAL = 160


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Markdown; the first ``left`` columns are text, the others figures."""
    rule = "---|" * left + "---:|" * (len(heads) - left)
    lines = [f"| {' | '.join(heads)} |", f"|{rule}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)])


def number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """Empty where there is no figure."""
    return "" if value is None else f"{value:{'+' if signed else ''},.{digits}f}"


def goal_table(goals: Sequence[Goal]) -> str:
    """One line per goal and network, a count of the outcomes above them."""
    counted = [
        f"{sum(goal.outcome == name for goal in goals)} {name}" for name in ("reached", "missed", "not measured")
    ]
    heads = ("goal", "network", "against", "outcome", "measured", "wanted", "margin")
    rows = [
        (
            goal.name,
            goal.network,
            goal.against,
            f"**{goal.outcome}**" if goal.outcome == "missed" else goal.outcome,
            f"{number(goal.measured, goal.digits)} {goal.unit}" if goal.measured is not None else "",
            f"{'≥' if goal.higher_is_better else '≤'} {number(goal.bound, goal.digits)} {goal.unit}"
            if goal.bound is not None
            else "",
            number(goal.margin, goal.digits, signed=True),
        )
        for goal in goals
    ]
    return f"{', '.join(counted)}.\n\n{table(heads, rows, left=4)}"


def result_tables(rows: Sequence[Row]) -> str:
    """A table for every network and judge that has rows, the best SQNR first; what was refused stands below."""
    results = Results(tuple(rows))
    parts = []
    for network in networks(rows):
        for judge in JUDGES:
            own = [row for row in rows if (row.network, row.judge) == (network, judge)]
            if own:
                parts.append(f"### {network}: {_TITLES[judge]}\n\n{_result_table(own, judge, results)}")
    return "\n\n".join(parts)


def _result_table(rows: Sequence[Row], judge: str, results: Results) -> str:
    refused = [row for row in rows if row.error]
    shown = sorted((row for row in rows if not row.error), key=lambda row: -(row.sqnr_db or 0.0))
    cells = [_exact(row) if judge == "exact" else _kernels(row, results) for row in shown]
    parts = [table(_HEADS if judge == "exact" else _KERNEL_HEADS, cells)] if shown else []
    if any(row.tool in PER_CHANNEL for row in rows):
        parts.append(FOOTNOTE)
    parts += [f"Refused: {marked(row.tool)} — {_short(row.error)}" for row in refused]
    return "\n\n".join(parts)


def _name(tool: str) -> str:
    return f"**{tool}**" if is_ours(tool) else marked(tool)


def _exact(row: Row) -> tuple[str, ...]:
    return _name(row.tool), str(row.images), *_fidelity(row), number(row.seconds, 1), number(row.peak_mib, 0)


def _kernels(row: Row, results: Results) -> tuple[str, ...]:
    emulated = results.figure(row.network, row.tool, "sqnr_db")
    gap = None if row.sqnr_db is None or emulated is None else row.sqnr_db - emulated
    latencies = (number(row.latency_ms, 2), number(row.latency_to_float, 3), number(row.latency_to_peer, 3))
    return _name(row.tool), *_fidelity(row), number(gap, 2, signed=True), *latencies


def _fidelity(row: Row) -> tuple[str, ...]:
    values = ((row.sqnr_db, 2), (row.sqnr_db_p5, 2), (row.delta1, 3), (row.delta1_p5, 2))
    return tuple(number(value, digits) for value, digits in values)


def _short(text: str) -> str:
    """On one line, without the name of an exception's class, no longer than can be read."""
    line = " ".join(text.split())
    head, _, tail = line.partition(": ")
    line = tail if tail and "." in head and " " not in head else line
    return line if len(line) <= _REFUSAL else f"{line[:_REFUSAL]}…"


def tool_table(rows: Iterable[Row]) -> str:
    """Every tool with its version and settings, ours first."""
    told = {row.tool: row for row in rows if row.version}
    ordered = sorted(told.values(), key=lambda row: (not is_ours(row.tool), row.tool))
    lines = [(_name(row.tool), row.version, row.settings) for row in ordered]
    return table(("tool", "version", "settings"), lines, left=3)


def memory_table(rows: Iterable[MemoryRow]) -> str:
    """The memory curve as figures."""
    heads = ("network", "recipe", "photographs", "peak MiB", "peak MB", "seconds")
    lines = [
        (
            row.network,
            row.recipe,
            number(row.images, 0),
            number(row.peak_mib, 0) or row.error[:_REFUSAL],
            number(None if row.peak_mib is None else row.peak_mib * MB_PER_MIB, 0),
            number(row.seconds, 1),
        )
        for row in sorted(rows, key=lambda row: row.key)
    ]
    return table(heads, lines, left=2)


def sensitivity_table(layers: Sequence[Layer], count: int) -> str:
    """The most sensitive layers, the worst first."""
    heads = ("layer", "operator", "alone dB", "alone cosine", "gathered dB", "gathered cosine", "MMACs")
    lines = [
        (
            f"`{layer.node}`",
            layer.operator,
            number(layer.sqnr_alone_db, 2),
            number(layer.cosine_alone, 5),
            number(layer.sqnr_accumulated_db, 2),
            number(layer.cosine_accumulated, 5),
            number(layer.macs / 1e6, 1),
        )
        for layer in worst(layers, count)
    ]
    shown = min(count, len(layers))
    return f"The {shown} most sensitive of {len(layers)} layers.\n\n{table(heads, lines, left=2)}"
