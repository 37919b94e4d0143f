"""Time per inference: the median of many runs after warm-up, and fair comparisons on a machine that drifts."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.metrics import Latency

#: A network from input tensor to prediction.
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]

WARMUP = 10
RUNS = 50


def measure(
    predict: Predict,
    tensor: NDArray[np.float32],
    *,
    threads: int,
    ran_on: str,
    warmup: int = WARMUP,
    runs: int = RUNS,
) -> Latency:
    """Time one network.

    Raises:
        ValueError: no run is counted.
    """
    _check(runs)
    for _ in range(warmup):
        predict(tensor)
    return _latency([_milliseconds(predict, tensor) for _ in range(runs)], warmup, threads=threads, ran_on=ran_on)


def measure_paired(
    first: Predict,
    second: Predict,
    tensor: NDArray[np.float32],
    *,
    threads: int,
    ran_on: tuple[str, str],
    warmup: int = WARMUP,
    runs: int = RUNS,
) -> tuple[Latency, Latency]:
    """Time two networks in turn, A B A B, so that whatever else the machine does hits both alike.

    Raises:
        ValueError: no run is counted.
    """
    _check(runs)
    for _ in range(warmup):
        first(tensor)
        second(tensor)
    times = [(_milliseconds(first, tensor), _milliseconds(second, tensor)) for _ in range(runs)]
    return (
        _latency([a for a, _ in times], warmup, threads=threads, ran_on=ran_on[0]),
        _latency([b for _, b in times], warmup, threads=threads, ran_on=ran_on[1]),
    )


def _check(runs: int) -> None:
    if runs < 1:
        raise ValueError(f"at least one run must be counted, got {runs}")


def _milliseconds(predict: Predict, tensor: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    predict(tensor)
    return (time.perf_counter() - start) * 1e3


def _latency(times: list[float], warmup: int, *, threads: int, ran_on: str) -> Latency:
    return Latency(
        median_ms=float(np.median(times)),
        p95_ms=float(np.percentile(times, 95)),
        runs=len(times),
        warmup=warmup,
        threads=threads,
        ran_on=ran_on,
    )
