"""Constants of a family of chips from published times: least squares of log ratios, with priors from other families.

Seven numbers: the shares of the peak that convolutions, depthwise convolutions, matrix products and the vector unit
reach, the share of the bandwidth, and the overheads of an inference and of a layer. Priors are the geometric means of
the other families' own fits, so that a left-out figure never reaches its own prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from latency.figures import PublishedTime
from numpy.typing import NDArray
from scipy.optimize import least_squares

from depthdeploy.core.performance import Constants, OperatorClass, Performance
from depthdeploy.estimate.roofline import priced
from depthdeploy.estimate.work import Work

NAMES = ("conv", "depthwise", "matmul", "vector", "memory", "overhead_ms", "layer_overhead_us")
#: Where no family is known yet: a third of the peak for dense work, a tenth of that for depthwise, a hundredth for
#: the vector unit, two thirds of the bandwidth, a fifth of a millisecond, two microseconds.
START = np.log([0.35, 0.04, 0.3, 0.006, 0.65, 0.2, 2.0])
#: Of the logarithm: a factor of 2 for shares of the peak, 3 for the vector unit, 2.5 for overheads.
WIDTH = np.array([0.7, 0.7, 0.7, 1.1, 0.4, 0.9, 0.9])
CEILING = np.log([0.95, 0.95, 0.95, 0.5, 0.95, 20.0, 100.0])
#: Of the logarithm of a published time: what a roofline cannot know, a factor of 1.25.
NOISE = 0.22
_SHARES = (OperatorClass.CONV, OperatorClass.DEPTHWISE, OperatorClass.MATMUL)
#: Its place in ``NAMES``.
_VECTOR = 3
VECTOR = (OperatorClass.ELEMENTWISE, OperatorClass.RESIZE, OperatorClass.NORMALIZE)
PRICED = (*_SHARES, *VECTOR)

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """A figure with the layers of its network on its chip, priced once with every constant at 1.

    Attributes:
        name: for tables.
        network: its name in this benchmark.
        family: of the chip.
        chip: the variant.
        ms: as published.
        compute: milliseconds of every layer at the whole peak; those of layers under a slow rule are final.
        share: which of ``NAMES`` divides them, or -1.
        kinds: of every layer, its place in ``PRICED``; -1 for data movement.
        memory: milliseconds of every layer at the whole bandwidth.
        pipelined: whether the overhead runs beside the layers.
        reload_ms: for networks that do not fit.
    """

    name: str
    network: str
    family: str
    chip: str
    ms: float
    compute: Vector
    share: NDArray[np.int64]
    kinds: NDArray[np.int64]
    memory: Vector
    pipelined: bool
    reload_ms: float


def case_of(time: PublishedTime, works: Sequence[Work], performance: Performance) -> Case:
    unit = priced(works, with_constants(performance, np.zeros(len(NAMES))), time.precision)
    return Case(
        name=time.name,
        network=time.network,
        family=performance.constants.family,
        chip=performance.variant,
        ms=time.ms,
        compute=np.array([layer.compute_ms for layer in unit.layers]),
        share=np.array([-1 if layer.slow else _number(layer.kind) for layer in unit.layers]),
        kinds=np.array([PRICED.index(layer.kind) if layer.kind in PRICED else -1 for layer in unit.layers]),
        memory=np.array([layer.memory_ms for layer in unit.layers]),
        pipelined=performance.pipelined,
        reload_ms=unit.reload_ms,
    )


def _number(kind: OperatorClass) -> int:
    """Which of ``NAMES`` a class is divided by; -1 for data movement."""
    if kind is OperatorClass.MOVE:
        return -1
    return _SHARES.index(kind) if kind in _SHARES else _VECTOR


def with_constants(performance: Performance, theta: Vector) -> Performance:
    return replace(performance, constants=constants_of(theta, performance.constants))


def constants_of(theta: Vector, like: Constants) -> Constants:
    """The seven numbers in a target's form."""
    conv, depthwise, matmul, vector, memory, overhead, layer = (float(f"{value:.3g}") for value in np.exp(theta))
    shares = dict(zip(_SHARES, (conv, depthwise, matmul), strict=True))
    return replace(
        like,
        efficiency={**shares, **dict.fromkeys(VECTOR, vector)},
        memory_efficiency=memory,
        overhead_ms=overhead,
        layer_overhead_us=layer,
    )


def predicted(case: Case, theta: Vector) -> float:
    """What :func:`depthdeploy.estimate.roofline.priced` says with these constants; a test holds the two together."""
    values = np.exp(theta)
    divisors = np.where(case.share < 0, 1.0, values[case.share])
    layers = float(np.sum(np.maximum(case.compute / divisors, case.memory / values[4]) + values[6] / 1e3))
    whole = max(layers, float(values[5])) if case.pipelined else layers + float(values[5])
    return whole + case.reload_ms


def fitted(cases: Sequence[Case], prior: Vector) -> Vector:
    """The constants that lie closest to figures and prior together."""

    def residuals(theta: Vector) -> Vector:
        misses = [math.log(predicted(case, theta) / case.ms) / NOISE for case in cases]
        return np.array([*misses, *((theta - prior) / WIDTH)])

    found = least_squares(
        residuals, np.minimum(prior, CEILING - 1e-3), bounds=(np.full(len(NAMES), -20.0), CEILING), diff_step=1e-3
    )
    return np.asarray(found.x, np.float64)


def fit_families(cases: Sequence[Case]) -> tuple[Mapping[str, Vector], Mapping[str, Vector]]:
    """Family -> constants, family -> prior from the others."""
    names = sorted({case.family for case in cases})
    alone = {name: fitted([case for case in cases if case.family == name], START) for name in names}
    priors = {name: np.mean([START, *(alone[other] for other in names if other != name)], axis=0) for name in names}
    return {n: fitted([case for case in cases if case.family == n], priors[n]) for n in names}, priors


def left_out(cases: Sequence[Case], prior: Vector, key: Callable[[Case], str]) -> list[float]:
    """Every case predicted by constants that were fitted without any case of the same key; NaN where none is left."""
    found: dict[str, Vector | None] = {}
    for name in {key(case) for case in cases}:
        rest = [case for case in cases if key(case) != name]
        found[name] = fitted(rest, prior) if rest else None
    return [math.nan if (theta := found[key(case)]) is None else predicted(case, theta) for case in cases]


def unsettled(cases: Sequence[Case], theta: Vector) -> Mapping[OperatorClass, float]:
    """Operator class -> factor of its prior, where fewer than two networks spend a seventh of their time in it."""
    values = np.exp(theta)
    found = {}
    for kind in PRICED:
        busy = {case.network for case in cases if _time_in(case, kind, values) > 1 / 7}
        if len(busy) < 2:
            found[kind] = round(math.exp(float(WIDTH[_number(kind)])), 1)
    return found


def _time_in(case: Case, kind: OperatorClass, values: Vector) -> float:
    """The share of a case's time in layers of a class that wait for its arithmetic: only those tell its constant."""
    divisors = np.where(case.share < 0, 1.0, values[case.share])
    compute, memory = case.compute / divisors, case.memory / values[4]
    times = np.maximum(compute, memory)
    telling = (case.kinds == PRICED.index(kind)) & (case.share >= 0) & (compute >= memory)
    return float(np.sum(times[telling]) / max(float(np.sum(times)), 1e-12))
