"""Dense metrics against their formulas written out pixel by pixel, and the protocols' masks."""

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from depthdeploy.core.photos import DepthRange
from depthdeploy.core.ratios import delta_shares
from depthdeploy.errors import EvaluationError
from depthdeploy.evaluation.dense import crop_window, dense_scores, valid_pixels

depths = arrays(np.float64, 24, elements=st.floats(0.1, 80.0))


def written_out(d: list[float], truth: list[float]) -> dict[str, float]:
    n = len(truth)
    logs = [math.log(a) - math.log(b) for a, b in zip(d, truth, strict=True)]
    mean_log = sum(logs) / n
    ratios = [max(a / b, b / a) for a, b in zip(d, truth, strict=True)]
    return {
        "abs_rel": sum(abs(a - b) / b for a, b in zip(d, truth, strict=True)) / n,
        "sq_rel": sum((a - b) ** 2 / b for a, b in zip(d, truth, strict=True)) / n,
        "rmse": math.sqrt(sum((a - b) ** 2 for a, b in zip(d, truth, strict=True)) / n),
        "rmse_log": math.sqrt(sum(x * x for x in logs) / n),
        "log10": sum(abs(math.log10(a) - math.log10(b)) for a, b in zip(d, truth, strict=True)) / n,
        "silog": 100 * math.sqrt(sum((x - mean_log) ** 2 for x in logs) / n),
        "mae": sum(abs(a - b) for a, b in zip(d, truth, strict=True)) / n,
        **{f"delta{k}": 100 * sum(r < 1.25**k for r in ratios) / n for k in (1, 2, 3)},
    }


@given(depths, depths)
def test_every_metric_is_its_formula(d: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
    expected = written_out(d.tolist(), truth.tolist())
    found = dense_scores(d, truth)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-6), name


@given(depths, depths, st.randoms(use_true_random=False))
def test_the_order_of_pixels_does_not_matter(
    d: NDArray[np.float64], truth: NDArray[np.float64], random: Random
) -> None:
    order = list(range(d.size))
    random.shuffle(order)
    assert dense_scores(d[order], truth[order]) == pytest.approx(dense_scores(d, truth), rel=1e-9, abs=1e-6)


def test_a_perfect_prediction() -> None:
    truth = np.linspace(0.5, 9, 50)
    scores = dense_scores(truth, truth)
    assert {name for name, value in scores.items() if value == 0} == {
        "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "mae",
    }  # fmt: skip
    assert [scores[f"delta{k}"] for k in (1, 2, 3)] == [100, 100, 100]


def test_a_ratio_of_exactly_the_threshold_is_outside() -> None:
    truth = np.array([1.0, 1.25, 2.0, 2.5])
    shares = delta_shares(np.array([1.25, 1.0, 2.5, 2.0]), truth)
    assert shares == {"delta1": 0.0, "delta2": 100.0, "delta3": 100.0}


def test_a_prediction_that_is_not_positive_is_outside_every_threshold() -> None:
    assert delta_shares(np.array([0.0, -1.0]), np.array([1.0, 1.0])) == {"delta1": 0.0, "delta2": 0.0, "delta3": 0.0}


def test_unmeasured_and_out_of_range_pixels_are_not_scored() -> None:
    truth = np.array([[0.0, 0.05, 0.1, 5.0], [10.0, 10.001, np.nan, 3.0]], dtype=np.float32)
    valid = valid_pixels(truth, DepthRange(0.1, 10.0))
    assert valid.tolist() == [[False, False, True, True], [True, False, False, True]]


@pytest.mark.parametrize(
    ("crop", "size", "window"),
    [
        ("none", (7, 9), ((0, 7), (0, 9))),
        ("eigen-nyu", (480, 640), ((45, 471), (41, 601))),
        ("eigen-kitti", (375, 1242), ((124, 342), (44, 1197))),
        ("garg", (375, 1242), ((153, 371), (44, 1197))),
    ],
)
def test_the_windows_of_the_published_protocols(crop: str, size: Any, window: Any) -> None:
    rows, columns = crop_window(crop, *size)
    assert ((rows.start, rows.stop), (columns.start, columns.stop)) == window
    truth = np.full(size, 2.0, dtype=np.float32)
    valid = valid_pixels(truth, DepthRange(0.1, 80.0, crop))
    assert valid.sum() == (window[0][1] - window[0][0]) * (window[1][1] - window[1][0])


def test_crops_that_cannot_be_applied() -> None:
    with pytest.raises(EvaluationError, match="480x640 frames, this one is 240x320"):
        crop_window("eigen-nyu", 240, 320)
    with pytest.raises(EvaluationError, match="eigen-nyu, eigen-kitti, garg"):
        crop_window("eigen", 480, 640)


def test_nothing_to_score() -> None:
    with pytest.raises(EvaluationError, match="no valid pixel"):
        dense_scores(np.empty(0), np.empty(0))
    with pytest.raises(EvaluationError, match="3 predictions and 2"):
        dense_scores(np.ones(3), np.ones(2))
