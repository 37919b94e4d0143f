"""What the quantizer did and found out: its steps, the layers that cost most, and the plans that were weighed."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from typing import Final

from depthdeploy.core.findings import Findings, Sensitivity
from depthdeploy.core.report import QuantizationRecord
from depthdeploy.report.tables import Table

#: Rows of the Markdown report; all layers stand in ``report.json`` and ``sensitivity.csv``.
WORST: Final = 10

_NAMED: Final = 12


def precision_words(quantization: QuantizationRecord | None) -> str:
    """The precision in words: ``int8 with 3 nodes in fp32`` behind a mixed-precision search."""
    if quantization is None:
        return "float"
    escaped = next((len(point.escaped) for point in quantization.findings.pareto if point.chosen), 0)
    if not escaped:
        return quantization.precision
    return f"{quantization.precision} with {escaped:,} {_nodes(escaped)} in {quantization.findings.escape}"


def _nodes(count: int) -> str:
    return "node" if count == 1 else "nodes"


def step_table(findings: Findings) -> Table:
    """Which algorithms ran, how long, and what they did."""
    rows = tuple((one.step, f"{one.seconds:.1f}", one.device or "cpu", one.detail) for one in findings.steps)
    notes = tuple(f"{one.step}: {line}" for one in findings.steps for line in one.degradations)
    return Table("Quantization steps", ("step", "seconds", "device", "result"), rows, notes)


def worst_layers(findings: Findings) -> tuple[Sensitivity, ...]:
    """The layers that cost most alone, the worst first."""
    return tuple(sorted(findings.sensitivity, key=lambda row: row.sqnr_alone_db)[:WORST])


def sensitivity_table(findings: Findings) -> Table:
    """The worst layers; nothing when no layer was measured."""
    rows = tuple(
        (
            row.node,
            row.operator,
            f"{row.sqnr_alone_db:.2f}",
            f"{row.cosine_alone:.6f}",
            f"{row.sqnr_accumulated_db:.2f}",
            f"{row.cosine_accumulated:.6f}",
            f"{row.macs / 1e6:.1f}",
        )
        for row in worst_layers(findings)
    )
    heads = ("layer", "operator", "SQNR alone, dB", "cosine alone", "SQNR gathered, dB", "cosine gathered", "M MACs")
    notes = (
        "Alone: the network's output with this layer quantized and all others in float.",
        "Gathered: the layer's own output with the whole network quantized. Both: means over calibration photographs.",
        f"The {len(rows)} worst of {len(findings.sensitivity):,}; all of them stand in sensitivity.csv.",
    )
    return Table("Most sensitive layers", heads, rows, notes if rows else ())


def pareto_table(findings: Findings) -> Table:
    """The plans of a mixed-precision search that are worth their time."""
    rows = tuple(
        (
            f"{len(point.escaped):,}{', chosen' if point.chosen else ''}",
            f"{point.cost:.3f}",
            f"{point.sqnr_db:.2f}",
            f"{point.delta1:.2f}",
        )
        for point in findings.pareto
    )
    heads = (f"nodes in {findings.escape}", "estimated time", "SQNR, dB", "delta1, %")
    notes = [
        "Measured on calibration photographs, which the ranges were chosen on too.",
        "Time is estimated from operations, relative to the plan without any wider node.",
    ]
    for point in findings.pareto:
        if point.chosen and point.escaped:
            more = len(point.escaped) - _NAMED
            tail = f" and {more:,} more" if more > 0 else ""
            notes.append(f"Chosen: {', '.join(point.escaped[:_NAMED])}{tail}.")
    return Table("Mixed precision", heads, rows, tuple(notes) if rows else ())


def sensitivity_csv(findings: Findings) -> str:
    """Every layer in the graph's order, one line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Sensitivity)]
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in findings.sensitivity)
    return text.getvalue()
