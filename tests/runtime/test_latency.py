from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from depthdeploy.runtime.latency import measure, measure_paired

Array = NDArray[np.float32]
TENSOR = np.zeros((1, 3, 4, 4), np.float32)


def slow(x: Array) -> Array:
    time.sleep(0.004)
    return x


def quick(x: Array) -> Array:
    time.sleep(0.001)
    return x


def test_median_of_the_counted_runs() -> None:
    calls: list[int] = []

    def predict(x: Array) -> Array:
        calls.append(1)
        return slow(x) if len(calls) <= 3 else quick(x)

    latency = measure(predict, TENSOR, threads=2, ran_on="test", warmup=3, runs=5)
    assert len(calls) == 8
    assert 1.0 <= latency.median_ms < 4.0, "warm-up is not counted"
    assert latency.p95_ms >= latency.median_ms
    assert (latency.runs, latency.warmup, latency.threads, latency.ran_on) == (5, 3, 2, "test")


def test_paired_runs_alternate() -> None:
    order: list[str] = []

    def first(x: Array) -> Array:
        order.append("a")
        return slow(x)

    def second(x: Array) -> Array:
        order.append("b")
        return quick(x)

    a, b = measure_paired(first, second, TENSOR, threads=1, ran_on=("A", "B"), warmup=1, runs=4)
    assert "".join(order) == "ab" * 5
    assert a.median_ms > b.median_ms
    assert (a.ran_on, b.ran_on) == ("A", "B")


def test_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        measure(quick, TENSOR, threads=1, ran_on="", runs=0)
