"""Rows as Markdown: one table per network and judge."""

from __future__ import annotations

from collections.abc import Sequence

from quantizers.rows import JUDGES, Row

_TITLES = {
    "exact": "exact: Q/DQ executed in float",
    "onnxruntime": "integer kernels of ONNX Runtime",
    "openvino": "integer kernels of OpenVINO",
}
_FIDELITY = ("tool", "images", "SQNR dB", "SQNR p5", "delta1 %", "delta1 p5", "seconds", "peak MiB")
_LATENCY = ("ms", "to float", "to peer")


def markdown(rows: Sequence[Row]) -> str:
    """A table for every network and judge that has rows, the best SQNR first, refusals last."""
    parts = []
    for network in dict.fromkeys(row.network for row in rows):
        for judge in JUDGES:
            own = [row for row in rows if (row.network, row.judge) == (network, judge)]
            if own:
                parts.append(f"### {network}, {_TITLES[judge]}\n\n{_table(own, judge)}\n")
    return "\n".join(parts)


def _table(rows: Sequence[Row], judge: str) -> str:
    heads = _FIDELITY if judge == "exact" else (*_FIDELITY, *_LATENCY)
    ordered = sorted(rows, key=lambda row: -(row.sqnr_db if row.sqnr_db is not None else -1e9))
    cells = [_cells(row, judge) for row in ordered]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in cells]
    refused = [f"\n{row.tool}: {row.error}" for row in ordered if row.error]
    return "\n".join([*lines, *refused])


def _cells(row: Row, judge: str) -> list[str]:
    cells = [
        row.tool,
        str(row.images or ""),
        _number(row.sqnr_db, 2),
        _number(row.sqnr_db_p5, 2),
        _number(row.delta1, 3),
        _number(row.delta1_p5, 2),
        _number(row.seconds, 1),
        _number(row.peak_mib, 0),
    ]
    if judge != "exact":
        peer = f" ({row.peer})" if row.latency_to_peer is not None else ""
        cells += [
            _number(row.latency_ms, 2),
            _number(row.latency_to_float, 3),
            _number(row.latency_to_peer, 3) + peer,
        ]
    return cells


def _number(value: float | None, digits: int) -> str:
    """Empty where there is no figure."""
    return "" if value is None else f"{value:.{digits}f}"
