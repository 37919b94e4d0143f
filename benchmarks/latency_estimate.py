"""Fit the latency estimate's constants to published times, and predict every time by constants that never saw it.

``--write`` puts the constants into the targets' ``performance.toml``. Two ways of leaving out: every figure of the
network that is predicted, on all chips of the family; and every figure of the chip. Graphs are exported once (about
half a minute each) and kept in ``--graphs``.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
from latency.data_file import write_constants
from latency.figures import PublishedTime, performance_path, performances, published
from latency.fit import Case, Vector, case_of, constants_of, fit_families, left_out, unsettled
from latency.graphs import graph_of

from depthdeploy.core.performance import Constants, Performance
from depthdeploy.estimate.chart import layer_chart
from depthdeploy.estimate.roofline import estimate
from depthdeploy.estimate.work import Work, works_of

#: The study's networks: MiDaS v2.1 Small at 512x288 (width x height) for video and 672x384 for stills.
STUDY = ("midas-v21-small-288x512", "midas-v21-small-384x672")
STUDY_TARGETS = ("openvino:npu-3720", "openvino:npu-4000", "openvino:npu-5010")
BUDGET_MS, SHARE = 16.0, 0.5

#: Network, chip, precision and share of the page's charts.
CHARTS = (
    ("midas-v21-small-288x512", "openvino:npu-3720", "int8", SHARE),
    ("midas-v21-small-256x256", "hailo:hailo8", "int8", 1.0),
    ("depth-anything-v2-small-518x518", "tensorrt:orin-nano", "fp16", 1.0),
)

#: Below so many figures the worst miss is the interval, from there on the one that nine in ten do not exceed.
ENOUGH = 10

Row = dict[str, object]


def factor(predicted: float, published_ms: float) -> float:
    """How far a prediction is off, from 1 on, in either direction."""
    return math.exp(abs(math.log(predicted / published_ms)))


def error_of(factors: Sequence[float], pooled: Sequence[float]) -> float:
    """A family's interval: never narrower than what three of four left-out figures of all families keep."""
    ordered = sorted(factors)
    place = len(ordered) - 1 if len(ordered) < ENOUGH else math.ceil(0.9 * len(ordered)) - 1
    least = sorted(pooled)[math.ceil(0.75 * len(pooled)) - 1]
    return round(max(least, ordered[place]), 2)


class Graphs:
    """Every network once, and its layers once for every set of fused operators."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._graphs: dict[str, ir.Model] = {}
        self._works: dict[tuple[str, frozenset[str]], tuple[Work, ...]] = {}

    def graph(self, network: str) -> ir.Model:
        if network not in self._graphs:
            self._graphs[network] = graph_of(network, self._folder)
        return self._graphs[network]

    def works(self, network: str, fused: frozenset[str]) -> tuple[Work, ...]:
        if (network, fused) not in self._works:
            self._works[network, fused] = works_of(self.graph(network), fused)
        return self._works[network, fused]


def left_out_rows(cases: Sequence[Case], prior: Vector) -> list[Row]:
    """Every figure of a family, predicted without its network and without its chip."""
    by_network = left_out(cases, prior, lambda case: case.network)
    by_chip = left_out(cases, prior, lambda case: case.chip)
    return [
        {"left_out_ms": _rounded(found), "chip_left_out_ms": _rounded(other), "miss": factor(found, case.ms)}
        for case, found, other in zip(cases, by_network, by_chip, strict=True)
    ]


def described(cases: Sequence[Case]) -> str:
    networks, chips = sorted({case.network for case in cases}), sorted({case.chip for case in cases})
    return f"{len(cases)} figures of {len(networks)} networks on {', '.join(chips)}: {', '.join(networks)}"


def summary(constants: Constants, rows: Sequence[Row], cases: Sequence[Case]) -> Row:
    misses = [float(str(row["miss"])) for row in rows]
    strangers = [
        factor(float(str(row["chip_left_out_ms"])), case.ms)
        for row, case in zip(rows, cases, strict=True)
        if row["chip_left_out_ms"] is not None and len({case.chip for case in cases}) > 1
    ]
    return {
        "family": constants.family,
        "figures": len(cases),
        "median": round(statistics.median(misses), 2),
        "worst": round(max(misses), 2),
        "interval": constants.error,
        "chip_median": round(statistics.median(strangers), 2) if strangers else None,
        "chip_worst": round(max(strangers), 2) if strangers else None,
        "borrowed": {kind.value: value for kind, value in constants.borrowed.items()},
        "efficiency": {kind.value: value for kind, value in constants.efficiency.items()},
        "memory_efficiency": constants.memory_efficiency,
        "overhead_ms": constants.overhead_ms,
        "layer_overhead_us": constants.layer_overhead_us,
    }


def figure_row(time: PublishedTime, graphs: Graphs, chip: Performance, constants: Constants, found: Row) -> Row:
    """A published time beside the estimate with every figure, and the one without it; the interval is the latter's."""
    made = estimate(graphs.graph(time.network), replace(chip, constants=constants), time.precision)
    spread = made.upper_ms / made.ms
    centre = float(str(found.get("left_out_ms") or made.ms))
    return {
        "figure": time.name,
        "family": constants.family,
        "target": time.target,
        "network": time.network,
        "precision": time.precision,
        "published_ms": _rounded(time.ms),
        "estimate_ms": _rounded(made.ms),
        "left_out_ms": _rounded(centre) if time.fit else None,
        "chip_left_out_ms": found.get("chip_left_out_ms"),
        "inside": centre / spread <= time.ms <= centre * spread,
        "fit": time.fit,
        "source": time.source,
        "doubt": time.doubt,
    }


def study(graphs: Graphs, chips: Mapping[str, Performance], constants: Mapping[str, Constants]) -> list[Row]:
    """The question of the VPU study: is the budget held on half of the chip?"""
    rows: list[Row] = []
    for target in STUDY_TARGETS:
        chip = replace(chips[target], constants=constants[chips[target].constants.family])
        for network in STUDY:
            for precision in ("int8", "fp16"):
                made = estimate(graphs.graph(network), chip, precision, concurrent=SHARE)
                answer = made.fits(BUDGET_MS)
                row = {"target": target, "network": network, "precision": precision, "verdict": answer.verdict.value}
                slow = sum(layer.ms for layer in made.layers if layer.slow)
                times = {"ms": made.ms, "lower_ms": made.lower_ms, "upper_ms": made.upper_ms, "slow_ms": slow}
                times["margin_ms"] = answer.margin_ms
                rows.append({**row, **{key: _rounded(value) for key, value in times.items()}})
    return rows


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.4g}")


def run(graphs: Graphs) -> tuple[Row, Mapping[str, Constants]]:
    """Everything that the page shows, and the constants of every family."""
    chips, times = performances(), published()
    cases = [case_of(t, graphs.works(t.network, chips[t.target].fused), chips[t.target]) for t in times if t.fit]
    thetas, priors = fit_families(cases)
    likes = {chip.constants.family: chip.constants for chip in chips.values()}
    own = {name: [case for case in cases if case.family == name] for name in thetas}
    rows = {name: left_out_rows(own[name], priors[name]) for name in thetas}
    pooled = [float(str(row["miss"])) for listed in rows.values() for row in listed]
    constants = {
        name: replace(
            constants_of(theta, likes[name]),
            error=error_of([float(str(row["miss"])) for row in rows[name]], pooled),
            borrowed=unsettled(own[name], theta),
            calibrated_on=described(own[name]),
        )
        for name, theta in thetas.items()
    }
    families = [summary(constants[name], rows[name], own[name]) for name in thetas]
    found = {(case.name, case.ms): row for name in thetas for case, row in zip(own[name], rows[name], strict=True)}
    figures = []
    for t in times:
        chip = chips[t.target]
        figures.append(figure_row(t, graphs, chip, constants[chip.constants.family], found.get((t.name, t.ms), {})))
    return {"families": families, "figures": figures, "study": study(graphs, chips, constants)}, constants


def draw(graphs: Graphs, folder: Path) -> None:
    """The charts, with the constants that the targets' files have now."""
    chips = performances()
    for network, target, precision, share in CHARTS:
        made = estimate(graphs.graph(network), chips[target], precision, concurrent=share)
        name = f"latency-{network}-{target.replace(':', '-')}.svg"
        (folder / name).write_text(layer_chart(made, network), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=Path, required=True, help="where exported graphs are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "latency_estimate.json")
    parser.add_argument("--write", action="store_true", help="put the constants into the targets' files")
    parser.add_argument("--charts", type=Path, help="a folder for the page's pictures")
    given = parser.parse_args()
    graphs = Graphs(given.graphs)
    result, constants = run(graphs)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if given.write:
        by_path: dict[Path, dict[str, Constants]] = {}
        for target, chip in performances().items():
            by_path.setdefault(performance_path(target), {})[chip.constants.family] = constants[chip.constants.family]
        for path, families in by_path.items():
            write_constants(path, families.values())
    if given.charts:
        draw(graphs, given.charts)
    print(json.dumps(result["families"], indent=1))


if __name__ == "__main__":
    main()
