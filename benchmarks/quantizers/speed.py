"""Latency of one network as every tool quantized it, in one process and in turn.

``python -m quantizers.speed RUNTIME EVALUATION ROUNDS OUT NAME=FILE...``: medians over rounds in which each network
runs once, so that whatever else the machine does hits all alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from quantizers.judge import Predict, opened

#: Runs that are not counted.
WARMUP = 5


def interleaved(
    networks: dict[str, Predict], tensor: np.ndarray[tuple[int, ...], np.dtype[np.float32]], rounds: int
) -> dict[str, float]:
    """Name -> median milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    for count in range(WARMUP + rounds):
        for name, predict in networks.items():
            since = time.perf_counter()
            predict(tensor)
            if count >= WARMUP:
                times[name].append((time.perf_counter() - since) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main(runtime: str, evaluation: str, rounds: str, out: str, *files: str) -> None:
    """Write the medians as JSON."""
    named = (item.split("=", 1) for item in files)
    networks = {name: opened(runtime, Path(path)) for name, path in named}
    tensor = np.ascontiguousarray(np.load(evaluation, mmap_mode="r")[:1])
    Path(out).write_text(json.dumps(interleaved(networks, tensor, int(rounds)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
