"""What was compiled, how large and fast it is, from which photographs and by which steps: rows with units."""

from __future__ import annotations

from typing import Final

from depthdeploy.core.depth import DepthContract, InputContract, InputForm
from depthdeploy.core.preprocessing import preprocessing_of
from depthdeploy.core.report import Report
from depthdeploy.report.findings import precision_words
from depthdeploy.report.tables import Table

#: A gap between the exact emulation and the artifact's own run above this many dB is the kernels' loss, and flagged.
KERNEL_GAP_DB: Final = 0.5


def megabytes(count: int) -> str:
    """Bytes in words: ``5.38 MB (5,378,160 bytes)``; a megabyte is a million bytes."""
    return f"{count / 1e6:.2f} MB ({count:,} bytes)"


def network_table(report: Report) -> Table:
    """What went in, where it goes, and how it was quantized."""
    network, quantization = report.network, report.quantization
    rows = [
        ("network", network.name),
        ("source", network.source),
        ("licence", network.licence or "not known"),
        ("target", f"{report.target}, variant {report.variant}" if report.variant else report.target),
        ("precision", precision_words(quantization)),
        ("parameters", f"{network.parameters:,}"),
        ("multiply-accumulates", f"{network.macs / 1e9:.3f} G ({network.macs:,})"),
        ("input", _input(network.input)),
        ("output", _output(network.output)),
        *_interface(report),
        ("parity with PyTorch", network.parity or "not applicable: the network came as ONNX"),
        ("weights", f"SHA-256 {network.weights_sha256}"),
        ("canonical ONNX", f"SHA-256 {network.onnx_sha256}, opset {network.opset}"),
        ("machine", report.machine),
    ]
    return Table("Network and target", ("", ""), tuple(rows))


def quantization_table(report: Report) -> Table:
    """The number formats and what stayed float; no row at float precision."""
    plan = report.quantization
    if plan is None:
        return Table("Quantization", ("", ""), ())
    rows = [
        ("recipe", plan.recipe or "not known"),
        ("scheme", plan.scheme),
        ("weights", f"{plan.weights_format}, {plan.weights:,} tensors"),
        ("activations", f"{plan.activations_format}, {plan.activations:,} tensors"),
        ("ranges", plan.observer),
        ("kept in float", ", ".join(plan.kept_float) or "none"),
    ]
    if report.operators:
        rows.append(
            ("nodes run in", ", ".join(f"{name}: {count:,}" for name, count in sorted(report.operators.items())))
        )
    return Table("Quantization", ("", ""), tuple(rows))


def legalization_table(report: Report) -> Table:
    """How the graph was made legal; no row in reports that do not say it."""
    legal = report.legalization
    if legal is None:
        return Table("Legal graph", ("", ""), ())
    rows = [
        ("nodes", f"{legal.nodes:,}"),
        ("rewritten by", ", ".join(legal.rewrites) or "nothing"),
        ("approximated", ", ".join(legal.approximations) or "nothing"),
        ("opset of the hand-over", f"{legal.opset}"),
    ]
    if legal.host:
        share = f"{legal.fallback_nodes:,} nodes, {100 * legal.fallback_macs:.2f} % of the MACs"
        rows.append((f"on {legal.host}", share if legal.fallback_nodes else "nothing"))
    if legal.uncertain_nodes:
        rows.append(("by uncertain rules", f"{legal.uncertain_nodes:,} of {legal.nodes:,} nodes"))
    notes = (*(f"On the host: {one}" for one in legal.fallbacks), *(f"Slower: {one}" for one in legal.slow))
    return Table("Legal graph", ("", ""), tuple(rows), notes)


def _input(contract: InputContract) -> str:
    return (
        f"{contract.height}x{contract.width} {contract.color.value.upper()} {contract.layout.value.upper()}, "
        f"0..{contract.scale:g}, mean {_triple(contract.mean)}, std {_triple(contract.std)}, "
        f"{contract.resize.value}, {contract.interpolation.value}"
    )


def _interface(report: Report) -> list[tuple[str, str]]:
    """What the artifact takes and gives itself; nothing in old reports."""
    record = report.interface
    if record is None:
        return []
    rows = [("artifact's input", f"{record.input_tensor}, {_taken(record.input)}")]
    rows.append(("artifact's output", str(record.output_tensor)))
    tail = record.output.tail
    return rows if tail is None else [*rows, ("on the host", f"{tail} ({tail.file} beside the artifact)")]


def _taken(contract: InputContract) -> str:
    units = preprocessing_of(contract)
    order = f"{contract.color.value.upper()} {contract.layout.value.upper()}"
    formula = f"(pixel - {_triple(units.mean)}) / {_triple(units.std)}"
    if contract.form is InputForm.NORMALIZED:
        return f"{order}, normalised outside: {formula}"
    return f"{order}, pixels 0..255; normalised inside: {formula}"


def _triple(values: tuple[float, float, float]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _output(contract: DepthContract) -> str:
    larger = "larger is nearer" if contract.kind.nearer_is_larger else "larger is farther"
    limits = f", {contract.near:g} to {contract.far:g} m" if contract.near is not None else ""
    return f"{contract.kind.value}, {larger}{limits}"


def size_table(report: Report) -> Table:
    """Bytes before and after."""
    ratio = report.fp32_bytes / report.artifact_bytes if report.artifact_bytes else 0.0
    rows = [
        ("FP32 ONNX", megabytes(report.fp32_bytes)),
        ("artifact", megabytes(report.artifact_bytes)),
        ("compression", f"{ratio:.2f} times smaller" if ratio else "-"),
    ]
    return Table("Size", ("", ""), tuple(rows))


def latency_table(report: Report) -> Table:
    """Milliseconds per photograph, of what runs on this machine."""
    timed = [("FP32", report.fp32_latency), ("artifact", report.artifact_latency)]
    rows = tuple(
        (
            name,
            f"{one.median_ms:.2f}",
            f"{one.p95_ms:.2f}",
            f"{one.threads}",
            f"{one.runs} after {one.warmup}",
            one.ran_on,
        )
        for name, one in timed
        if one is not None
    )
    notes: tuple[str, ...] = ()
    if report.fp32_latency and report.artifact_latency:
        gain = report.fp32_latency.median_ms / report.artifact_latency.median_ms
        notes = (f"The artifact's median is {gain:.2f} times as fast.",)
    elif report.fp32_latency:
        notes = ("The artifact does not run on this machine.",)
    return Table("Latency", ("", "median ms", "95th percentile ms", "threads", "runs", "ran on"), rows, notes)


def kernel_table(report: Report) -> Table:
    """The artifact's own run against the exact emulation; no row where the artifact does not run here."""
    check = report.kernels
    if check is None:
        return Table("Kernels against exact emulation", ("", ""), (), ("The artifact was not run.",))
    rows = (
        ("exact emulation", f"{check.emulated_sqnr_db:.2f} dB"),
        ("artifact's own run", f"{check.artifact_sqnr_db:.2f} dB"),
        ("gap", f"{check.gap_db:.2f} dB"),
    )
    if check.gap_db > KERNEL_GAP_DB:
        verdict = (
            f"**The gap is above {KERNEL_GAP_DB} dB: the runtime's kernels lose what quantization did not** "
            "(integer kernels that saturate, for example)."
        )
    else:
        verdict = f"The gap is within {KERNEL_GAP_DB} dB: the artifact computes what was emulated."
    return Table("Kernels against exact emulation", ("SQNR against FP32", "mean over images"), rows, (verdict,))


def selection_table(report: Report) -> Table:
    """Which photographs were used, by digest."""
    rows = tuple(
        (
            one.purpose,
            one.dataset,
            f"{one.images:,} of {one.available:,}",
            f"{one.seed}",
            ", ".join(f"{stratum or 'none'}: {count:,}" for stratum, count in sorted(one.strata.items())) or "-",
            one.digest,
        )
        for one in report.selections
    )
    notes = tuple(f"{one.dataset}: {remark}" for one in report.selections for remark in one.remarks)
    return Table("Photographs", ("purpose", "data set", "used", "seed", "strata", "SHA-256 of the choice"), rows, notes)


def stage_table(report: Report) -> Table:
    """What was done, and how long it took."""
    rows = tuple(
        (
            one.name,
            "stored" if one.cached else f"{one.seconds:.1f}",
            "-" if one.bytes is None else megabytes(one.bytes),
            one.detail,
        )
        for one in report.stages
    )
    return Table("Stages", ("stage", "seconds", "made", "result"), rows)


def file_table(report: Report) -> Table:
    """The artifact's files."""
    return Table("Files", ("file", "SHA-256"), tuple(sorted(report.files.items())))


def version_table(report: Report) -> Table:
    """The packages that made it."""
    rows = (("depthdeploy", report.version), *sorted(report.versions.items()))
    return Table("Versions", ("package", "version"), rows)
