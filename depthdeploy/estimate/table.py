"""An estimate in words and as a table, in Markdown. Every text begins by saying that it is an estimate."""

from __future__ import annotations

from depthdeploy.core.latency import LatencyEstimate, LayerEstimate

#: Layers in a table that was not told otherwise.
LAYERS = 15


def summary(estimate: LatencyEstimate, budget_ms: float | None = None) -> tuple[str, ...]:
    """Lines for a terminal: the time with its interval, what it is spent on, the budget's answer, the notes."""
    share = "" if estimate.concurrent == 1.0 else f", {estimate.concurrent:.0%} of the chip"
    time = (
        f"estimate: {estimate.ms:.3g} ms {estimate.predicts} ({estimate.lower_ms:.3g} to {estimate.upper_ms:.3g} ms), "
        f"{estimate.frames_per_second:.3g} frames/s; {estimate.target} in {estimate.precision}{share}; not measured"
    )
    classes = sorted(estimate.share_by_class().items(), key=lambda one: -one[1])
    spent = ", ".join(f"{kind.value} {part:.0%}" for kind, part in classes if part >= 0.005)
    lines = [time, f"layers: {spent}"] if spent else [time]
    if budget_ms is not None:
        answer = estimate.fits(budget_ms)
        lines.append(
            f"budget {budget_ms:g} ms ({answer.frames_per_second:.3g} frames/s): {answer.verdict.value}; margin "
            f"{answer.margin_ms:+.3g} ms, {answer.worst_margin_ms:+.3g} ms at the interval's upper end"
        )
    return (*lines, *(f"note: {note}" for note in estimate.notes))


def layer_table(estimate: LatencyEstimate, count: int | None = LAYERS) -> str:
    """The slowest layers as a Markdown table; every layer in the graph's order where ``count`` is ``None``."""
    layers = estimate.layers if count is None else estimate.slowest(count)
    total = sum(layer.ms for layer in estimate.layers) or 1.0
    head = [
        "| layer (estimate) | operators | MACs, M | KiB moved | ms | share | waits for |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    return "\n".join([*head, *(_row(layer, total) for layer in layers)])


def _row(layer: LayerEstimate, total: float) -> str:
    operators = " + ".join((layer.operator, *layer.fused))
    name = layer.name.replace("|", "\\|")
    slow = f"; {layer.slow}" if layer.slow else ""
    return (
        f"| `{name}` | {operators} | {layer.macs / 1e6:.1f} | {layer.moved_bytes / 1024:.0f} | {layer.ms:.3f} | "
        f"{layer.ms / total:.1%} | {layer.bound.value}{slow} |"
    )
