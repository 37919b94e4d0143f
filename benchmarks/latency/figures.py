"""The published times, as values."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthdeploy.core.performance import Performance
from depthdeploy.core.performance_file import load_performance

ROOT = Path(__file__).resolve().parents[2]
FIGURES = Path(__file__).with_name("figures.toml")
MEASURED = ROOT / "benchmarks" / "results" / "quantization.json"
#: Network of those rows -> its graph here.
_MEASURED_NETWORKS = {"fastdepth": "fastdepth-224", "pico": "pico-192x256", "midas": "midas-v21-small-256x256"}


@dataclass(frozen=True, slots=True)
class PublishedTime:
    """One time that somebody published for a network on a chip.

    Attributes:
        target: ``hailo:hailo8``.
        precision: what the layers compute in.
        network: its name in this benchmark.
        ms: latency, or time between two frames.
        source: who published it.
        fit: whether constants are fitted to it; others are only compared.
        doubt: what is not certain about it.
    """

    target: str
    precision: str
    network: str
    ms: float
    source: str
    fit: bool
    doubt: str

    @property
    def name(self) -> str:
        return f"{self.network} on {self.target} in {self.precision}"


def published() -> list[PublishedTime]:
    """Other people's figures, and this machine's for its own processor."""
    listed = tomllib.loads(FIGURES.read_text(encoding="utf-8"))["figures"]
    found = [
        PublishedTime(
            row["target"], row["precision"], row["network"], row["ms"] if "ms" in row else 1e3 / row["fps"],
            row["source"], row.get("use", "fit") == "fit", row.get("doubt", ""),
        )
        for row in listed
    ]  # fmt: skip
    return [*found, *_measured_here()]


def _measured_here() -> list[PublishedTime]:
    """The reference machine's times of INT8 and float, from the comparison of quantizers."""
    read = json.loads(MEASURED.read_text(encoding="utf-8"))
    source = f"measured here, benchmarks/results/{MEASURED.name} ({read['machine']})"
    found = []
    for row in read["rows"]:
        network = _MEASURED_NETWORKS.get(row["network"])
        if row["tool"] == "ours:minmax" and network and row["latency_ms"]:
            target = f"{row['judge']}:cpu-vnni"
            float_ms = row["latency_ms"] / row["latency_to_float"]
            found.append(PublishedTime(target, "int8", network, row["latency_ms"], source, True, ""))
            found.append(PublishedTime(target, "fp32", network, float_ms, source, True, ""))
    return found


def performance_path(target: str) -> Path:
    name = target.partition(":")[0]
    return ROOT / "targets" / name / f"depthdeploy_{name}" / "performance.toml"


def performances() -> Mapping[str, Performance]:
    """``hailo:hailo8`` -> its performance, for every target that has a file."""
    return {
        f"{one.target}:{variant}": one
        for path in sorted(ROOT.glob("targets/*/depthdeploy_*/performance.toml"))
        for variant, one in load_performance(path).items()
    }
