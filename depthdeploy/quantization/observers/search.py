"""The search for a range that costs least, shared by the observers that weigh rounding against clipping."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.grid import NumberFormat
from depthdeploy.quantization.observers.protocol import Range

Vector = NDArray[np.float64]

#: The cost of one range.
Cost = Callable[[float, float], float]

#: Candidates of one bound in the first look: shares of the extreme, evenly spaced, the extreme itself first.
_COARSE = 32

#: Candidates from the best one to each of its neighbours.
_FINE = 4


def cheapest(cost: Cost, low: float, high: float, number_format: NumberFormat) -> Range:
    """The range within ``[low, high]`` of the least cost; the widest of equal ones.

    A symmetric format has one bound to search. An asymmetric one has two, searched in turn: twice on coarse candidates,
    because either bound changes what the other one gains, then on fine ones.

    Args:
        cost: of a candidate range; for a symmetric format the range is symmetric, too.
        low: the smallest value, at most 0.
        high: the largest value, at least 0.
        number_format: how the tensor is stored.
    """
    if number_format.symmetric:
        bound = max(-low, high)
        share = 1.0
        for candidates in (_coarse, _fine):
            share = _best([(cost(-bound * one, bound * one), one) for one in candidates(share)])
        return max(low, -bound * share), min(high, bound * share)
    below = above = 1.0
    for candidates in (_coarse, _coarse, _fine):
        if high > 0:
            above = _best([(cost(low * below, high * one), one) for one in candidates(above)])
        if low < 0:
            below = _best([(cost(low * one, high * above), one) for one in candidates(below)])
    return low * below, high * above


def _coarse(_: float) -> Vector:
    return np.linspace(1.0, 0.0, _COARSE, endpoint=False)


def _fine(share: float) -> Vector:
    step = 1.0 / (_COARSE * (_FINE + 1))
    shares: Vector = share + step * np.arange(_FINE, -_FINE - 1.0, -1.0, dtype=np.float64)
    kept: Vector = shares[(shares > 0) & (shares <= 1)]
    return kept


def _best(priced: list[tuple[float, float]]) -> float:
    """The share of the least cost; of equal ones the first."""
    return float(min(priced, key=lambda pair: pair[0])[1])
