"""What alignment takes away and what it leaves: the laws, and the solver against numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthdeploy.core.depth import Alignment
from depthdeploy.core.photos import DepthRange
from depthdeploy.core.ratios import median_scale
from depthdeploy.errors import EvaluationError
from depthdeploy.evaluation.align import affine_fit, aligned_depth
from depthdeploy.evaluation.dense import dense_scores

LIMITS = DepthRange(0.1, 10.0)
seeds = st.integers(0, 2**32 - 1)


def scene(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Truth in metres, and a good but imperfect prediction of inverse depth."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0.8, 6.0, 400)
    return 1 / truth + random.normal(0, 0.01, 400), truth


def scores(prediction: NDArray[np.float64], truth: NDArray[np.float64], alignment: Alignment) -> dict[str, float]:
    return dense_scores(aligned_depth(prediction, truth, alignment=alignment, limits=LIMITS), truth)


@given(seeds)
def test_times_three_plus_two_leaves_affine_figures_and_moves_the_others(seed: int) -> None:
    prediction, truth = scene(seed)
    moved = prediction * 3 + 2
    affine = scores(prediction, truth, Alignment.AFFINE)
    assert scores(moved, truth, Alignment.AFFINE) == pytest.approx(affine, rel=1e-9, abs=1e-9)
    for alignment in (Alignment.NONE, Alignment.MEDIAN):
        before = scores(prediction, truth, alignment)
        assert scores(moved, truth, alignment) != pytest.approx(before, rel=1e-2, abs=1e-2)


@given(seeds)
def test_times_three_alone_leaves_median_figures(seed: int) -> None:
    depth = np.random.default_rng(seed).uniform(0.5, 3.0, 400)
    truth = np.random.default_rng(seed + 1).uniform(0.5, 9.0, 400)
    assert scores(depth * 3, truth, Alignment.MEDIAN) == pytest.approx(
        scores(depth, truth, Alignment.MEDIAN), rel=1e-9, abs=1e-9
    )
    assert scores(depth * 3, truth, Alignment.NONE) != pytest.approx(scores(depth, truth, Alignment.NONE), rel=1e-3)


@given(seeds)
def test_the_affine_fit_is_the_least_squares_solution(seed: int) -> None:
    prediction, truth = scene(seed)
    (scale, shift), *_ = np.linalg.lstsq(np.stack([prediction, np.ones_like(prediction)], axis=1), 1 / truth)
    assert affine_fit(prediction, 1 / truth) == pytest.approx((scale, shift), rel=1e-9, abs=1e-9)


def test_a_true_inverse_depth_comes_back_exactly() -> None:
    truth = np.linspace(0.2, 9, 100)
    depth = aligned_depth(7 / truth - 3, truth, alignment=Alignment.AFFINE, limits=LIMITS)
    np.testing.assert_allclose(depth, truth, rtol=1e-12)


def test_aligned_inverse_depth_that_is_not_positive_is_far() -> None:
    truth = np.array([1.0, 1.0, 10.0, 10.0])
    depth = aligned_depth(np.array([10.0, 10.0, 2.0, -2.0]), truth, alignment=Alignment.AFFINE, limits=LIMITS)
    assert depth[2] < depth[3] == LIMITS.far
    assert np.all((depth >= LIMITS.near) & (depth <= LIMITS.far))


@pytest.mark.parametrize("alignment", [Alignment.NONE, Alignment.MEDIAN])
def test_predictions_are_clipped_to_the_range_of_the_set(alignment: Alignment) -> None:
    depth = aligned_depth(np.array([-1.0, 2.0, 1000.0]), np.full(3, 2.0), alignment=alignment, limits=LIMITS)
    assert depth.tolist() == [0.1, 2.0, 10.0]


def test_the_median_scale() -> None:
    assert median_scale(np.array([1.0, 2.0, 30.0]), np.array([4.0, 5.0, 6.0])) == 2.5


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(EvaluationError, match="allow no scale"):
        median_scale(np.array([0.0, 0.0, 1.0]), np.ones(3))
    with pytest.raises(EvaluationError, match="constant"):
        affine_fit(np.ones(5), np.linspace(1, 2, 5))
