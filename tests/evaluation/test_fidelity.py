"""Fidelity against its formulas written out, its zeros, and its invariances."""

import math
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from depthdeploy.core.depth import Alignment, DepthKind
from depthdeploy.core.fidelity import SQNR_CAP_DB, FloatMap, fidelity_alignment, fidelity_scores
from depthdeploy.errors import EvaluationError

#: Sixteenths are exact in float32, so that the two ways of computing see the same numbers.
sixteenths = st.integers(1, 1600).map(lambda n: n / 16)
maps = arrays(np.float32, (4, 6), elements=st.one_of(sixteenths, sixteenths, sixteenths, st.just(0.0)))
positive_maps = arrays(np.float32, (4, 6), elements=sixteenths)


def written_out(p: list[float], r: list[float], aligned: bool) -> dict[str, float]:
    pairs = [(a, b) for a, b in zip(p, r, strict=True) if b > 0]
    scale = statistics.median(b for _, b in pairs) / statistics.median(a for a, _ in pairs) if aligned else 1.0
    pairs = [(scale * a, b) for a, b in pairs]
    noise = sum((a - b) ** 2 for a, b in zip(p, r, strict=True))
    energy = sum(b * b for b in r)
    ratios = [max(a / b, b / a) if a > 0 else math.inf for a, b in pairs]
    return {
        "sqnr_db": min(10 * math.log10(energy / noise), SQNR_CAP_DB) if noise else SQNR_CAP_DB,
        "cosine": sum(a * b for a, b in zip(p, r, strict=True)) / math.sqrt(energy * sum(a * a for a in p)),
        **{f"delta{k}": 100 * sum(x < 1.25**k for x in ratios) / len(pairs) for k in (1, 2, 3)},
        "abs_rel": sum(abs(a - b) / b for a, b in pairs) / len(pairs),
        "rmse": math.sqrt(sum((a - b) ** 2 for a, b in pairs) / len(pairs)),
        "max_abs": max(abs(a - b) for a, b in zip(p, r, strict=True)),
    }


@given(positive_maps, maps.filter(lambda m: m.any()), st.booleans())
def test_every_metric_is_its_formula(prediction: NDArray[Any], reference: NDArray[np.float32], aligned: bool) -> None:
    alignment = Alignment.MEDIAN if aligned else Alignment.NONE
    found = fidelity_scores(prediction, FloatMap.of(reference), alignment=alignment)
    expected = written_out(prediction.ravel().tolist(), reference.ravel().tolist(), aligned)
    assert found.keys() == expected.keys()
    near_threshold = {"delta1", "delta2", "delta3"} if aligned else set()
    for name, value in expected.items():
        # a scaled ratio of exactly 1.25 may fall on either side by a rounding: one pixel of these 24
        slack = 100 / np.count_nonzero(reference) if name in near_threshold else 1e-6
        assert found[name] == pytest.approx(value, rel=1e-9, abs=slack), name


def test_zeros_of_the_reference_have_no_ratio_but_count_in_sqnr() -> None:
    reference = FloatMap.of(np.array([[0.0, 1.0, 2.0, 4.0]], dtype=np.float32))
    assert reference.kept.tolist() == [1.0, 2.0, 4.0]
    scores = fidelity_scores(np.array([[3.0, 1, 2, 4]], dtype=np.float32), reference, alignment=Alignment.MEDIAN)
    assert (scores["delta1"], scores["abs_rel"]) == (100.0, 0.0)
    assert scores["sqnr_db"] == pytest.approx(10 * math.log10(21 / 9))
    assert scores["max_abs"] == 3.0


@given(positive_maps, positive_maps)
def test_a_factor_moves_sqnr_and_leaves_aligned_figures(
    prediction: NDArray[Any], reference: NDArray[np.float32]
) -> None:
    prepared = FloatMap.of(reference)
    once = fidelity_scores(prediction, prepared, alignment=Alignment.MEDIAN)
    doubled = fidelity_scores(prediction * np.float32(2), prepared, alignment=Alignment.MEDIAN)
    for name in ("delta1", "delta2", "delta3", "abs_rel", "rmse", "cosine"):
        assert doubled[name] == pytest.approx(once[name], rel=1e-12)


def test_the_same_map_is_capped_and_stays_a_number() -> None:
    scores = fidelity_scores(
        np.ones((2, 2), np.float32), FloatMap.of(np.ones((2, 2), np.float32)), alignment=Alignment.NONE
    )
    assert scores["sqnr_db"] == SQNR_CAP_DB == 150.0
    assert scores["cosine"] == pytest.approx(1.0)
    assert scores["max_abs"] == 0.0


def test_a_wrong_metric_scale_is_a_loss_and_a_relative_one_is_not() -> None:
    assert fidelity_alignment(DepthKind.METRIC_DEPTH) is Alignment.NONE
    assert {fidelity_alignment(kind) for kind in (DepthKind.RELATIVE_DEPTH, DepthKind.INVERSE_DEPTH)} == {
        Alignment.MEDIAN
    }


def test_what_cannot_be_compared() -> None:
    reference = FloatMap.of(np.array([[1.0, 2.0]], dtype=np.float32))
    with pytest.raises(EvaluationError, match="no prediction is positive"):
        FloatMap.of(np.array([[-1.0, 0.0]], dtype=np.float32))
    with pytest.raises(EvaluationError, match="3 values where the reference has 2"):
        fidelity_scores(np.ones((1, 3), np.float32), reference, alignment=Alignment.NONE)
    with pytest.raises(EvaluationError, match="allow no scale"):
        fidelity_scores(np.zeros((1, 2), np.float32), reference, alignment=Alignment.MEDIAN)
    with pytest.raises(ValueError, match="one scale at most"):
        fidelity_scores(np.ones((1, 2), np.float32), reference, alignment=Alignment.AFFINE)
