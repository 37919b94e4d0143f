"""Ordinal accuracy: strictly nearer, ties wrong, the sign, and the sampling at original points."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthdeploy.core.depth import InputContract, ResizeRule
from depthdeploy.core.photos import PointPair
from depthdeploy.evaluation.ordinal import PairCount, count_pairs, sample_bilinear, wilson_interval
from depthdeploy.imaging.geometry import geometry


def random_pairs(random: np.random.Generator, count: int, height: int, width: int) -> list[PointPair]:
    points = np.stack([random.integers(0, height, (count, 2)), random.integers(0, width, (count, 2))], axis=2)
    return [PointPair((int(a[0]), int(a[1])), (int(b[0]), int(b[1]))) for a, b in points]


@pytest.mark.parametrize("rule", list(ResizeRule))
@pytest.mark.parametrize("size", [(60, 90), (31, 17), (400, 300)])
@pytest.mark.parametrize("shape", [(32, 64), (16, 32)])
def test_points_are_sampled_as_if_the_prediction_had_the_size_of_the_photograph(
    rule: ResizeRule, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    random = np.random.default_rng(7)
    frame = geometry(InputContract(32, 64, resize=rule), height=size[0], width=size[1])
    prediction = random.uniform(0, 1, shape).astype(np.float32)
    pairs = random_pairs(random, 200, *size)
    whole, seen = frame.to_original(prediction)
    right = ties = scored = 0
    for pair in pairs:
        if seen[pair.closer] and seen[pair.farther]:
            scored += 1
            right += bool(whole[pair.closer] > whole[pair.farther])
            ties += pair.closer == pair.farther
    assert count_pairs(prediction, pairs, frame, nearer_is_larger=True) == PairCount(
        scored, right, ties, len(pairs) - scored
    )


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 6))
def test_bilinear_sampling_is_its_formula(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    prediction = random.uniform(0, 1, (height, width)).astype(np.float32)
    row, column = random.uniform(0, height - 1), random.uniform(0, width - 1)
    i, j = min(int(row), height - 2), min(int(column), width - 2)
    v, h = row - i, column - j
    expected = (
        (1 - v) * (1 - h) * prediction[i, j]
        + (1 - v) * h * prediction[i, j + 1]
        + v * (1 - h) * prediction[i + 1, j]
        + v * h * prediction[i + 1, j + 1]
    )
    assert sample_bilinear(prediction, np.array([[row, column]]))[0] == pytest.approx(expected)


@pytest.mark.parametrize("nearer_is_larger", [True, False])
def test_a_constant_prediction_gets_nothing_right(nearer_is_larger: bool) -> None:
    frame = geometry(InputContract(32, 32), height=77, width=53)
    pairs = random_pairs(np.random.default_rng(0), 500, 77, 53)
    constant = np.full((32, 32), 0.3, dtype=np.float32)
    count = count_pairs(constant, pairs, frame, nearer_is_larger=nearer_is_larger)
    assert (count.accuracy, count.ties, count.pairs) == (0.0, 500, 500)


def test_the_wrong_sign_turns_95_into_5() -> None:
    frame = geometry(InputContract(20, 20), height=20, width=20)
    prediction = np.arange(400, dtype=np.float32).reshape(20, 20)
    pairs = [PointPair((19, column), (0, column)) for column in range(19)] + [PointPair((0, 19), (19, 19))]
    assert count_pairs(prediction, pairs, frame, nearer_is_larger=True).accuracy == 95.0
    assert count_pairs(prediction, pairs, frame, nearer_is_larger=False).accuracy == 5.0


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_no_scale_and_no_shift_changes_the_order(scale: float, shift: float) -> None:
    random = np.random.default_rng(3)
    frame = geometry(InputContract(24, 24), height=50, width=40)
    levels = random.integers(0, 256, (24, 24)).astype(np.float64)
    pairs = random_pairs(random, 100, 50, 40)
    moved = (levels * scale + shift).astype(np.float64)
    before = count_pairs(levels.astype(np.float32), pairs, frame, nearer_is_larger=True)
    after = count_pairs(moved.astype(np.float32), pairs, frame, nearer_is_larger=True)
    assert abs(after.right - before.right) <= 2  # float32 may merge or split two nearly equal samples


@given(st.integers(1, 3000), st.data())
def test_the_wilson_interval_solves_its_equation(pairs: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, pairs))
    share = right / pairs
    low, high = wilson_interval(right, pairs)
    assert 0 <= low <= 100 * share + 1e-9
    assert 100 * share - 1e-9 <= high <= 100
    for bound in {low / 100, high / 100} - {0.0, 1.0}:
        # the bounds are where the share is 1.96 standard errors of the bound itself away
        assert abs(share - bound) == pytest.approx(1.959963984540054 * math.sqrt(bound * (1 - bound) / pairs), abs=1e-9)


def test_a_published_wilson_interval() -> None:
    # Newcombe 1998, table I: 81 of 263
    assert wilson_interval(81, 263) == pytest.approx((25.53, 36.62), abs=0.01)


def test_no_pairs() -> None:
    frame = geometry(InputContract(8, 8), height=8, width=8)
    assert count_pairs(np.eye(8, dtype=np.float32), [], frame, nearer_is_larger=True) == PairCount()


def test_all_of_da2k_takes_well_under_a_second() -> None:
    random = np.random.default_rng(0)
    prediction = random.uniform(0, 1, (518, 518)).astype(np.float32)
    contract = InputContract(518, 518)
    photographs = [(random_pairs(random, 2, 1000 + n, 1500), 1000 + n) for n in range(1034)]
    start = time.perf_counter()
    total = PairCount()
    for pairs, height in photographs:
        frame = geometry(contract, height=height, width=1500)
        total += count_pairs(prediction, pairs, frame, nearer_is_larger=True)
    assert total.pairs == 2068
    assert time.perf_counter() - start < 1.0
