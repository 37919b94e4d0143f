"""Observers: extremes, streaming histograms, and the names users give them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.errors import UsageError
from depthdeploy.quantization.observers import (
    Entropy,
    MinMax,
    Moving,
    Mse,
    Observer,
    Percentile,
    StreamingHistogram,
    UsualMinMax,
    expected_error,
    parse_observer,
)

finite = st.floats(-1e6, 1e6, width=32)
photographs = st.lists(arrays(np.float32, st.integers(1, 200), elements=finite), min_size=1, max_size=6)


@given(photographs)
def test_min_max_holds_every_value_and_no_more(photos: list[NDArray[np.float32]]) -> None:
    state = MinMax().start()
    for photo in photos:
        state.update(photo)
    everything = np.concatenate(photos)
    assert state.range() == (float(everything.min()), float(everything.max()))


@given(photographs, st.floats(0.0, 1.0))
def test_a_quantile_is_within_one_bin_of_the_order_statistics(photos: list[NDArray[np.float32]], share: float) -> None:
    histogram = StreamingHistogram(bins=64)
    for photo in photos:
        histogram.update(photo)
    everything = np.concatenate(photos).astype(np.float64)
    below = np.percentile(everything, 100 * share, method="lower")
    above = np.percentile(everything, 100 * share, method="higher")
    slack = histogram.bin_width() * (1 + 1e-6)
    assert below - slack <= histogram.quantile(share) <= above + slack


@given(photographs)
def test_the_order_of_photographs_does_not_matter_but_for_merged_edges(photos: list[NDArray[np.float32]]) -> None:
    forward, backward = StreamingHistogram(), StreamingHistogram()
    for photo in photos:
        forward.update(photo)
    for photo in reversed(photos):
        backward.update(photo)
    assert forward.extremes() == backward.extremes()
    assert abs(forward.quantile(0.9) - backward.quantile(0.9)) <= forward.bin_width()


def test_memory_does_not_grow_with_photographs() -> None:
    histogram = StreamingHistogram()
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3):
        histogram.update((rng.standard_normal(10_000) * scale).astype(np.float32))
    # A range 2^20 times as wide leaves at most a bin per side of the first photographs.
    assert histogram.bin_width() <= 2 * 2 * 1e4 / 2048
    assert -1e4 < histogram.quantile(0.0001) < histogram.quantile(0.5) < histogram.quantile(0.9999) < 1e4


def test_percentile_agrees_with_numpy_on_a_large_sample() -> None:
    sample = np.random.default_rng(1).standard_normal((4, 100_000)).astype(np.float32)
    state = Percentile(99.9).start()
    for photo in sample:
        state.update(photo)
    low, high = state.range()
    width = 2 * 8 / 4096
    assert abs(low - np.percentile(sample, 0.1)) <= width
    assert abs(high - np.percentile(sample, 99.9)) <= width


def test_percentile_100_is_min_max() -> None:
    values = np.array([-3.0, 0.0, 7.5], np.float32)
    state = Percentile(100.0).start()
    state.update(values)
    assert state.range() == (-3.0, 7.5)


def test_constant_zero_is_a_range() -> None:
    state = Percentile().start()
    state.update(np.zeros(5, np.float32))
    assert state.range() == (0.0, 0.0)
    state.update(np.ones(5, np.float32))
    assert state.range() == pytest.approx((0.0, 1.0), abs=1 / 2048)


UNSIGNED = NumberFormat(8, False, False, Granularity.TENSOR)
SYMMETRIC = NumberFormat(8, True, True, Granularity.TENSOR)
FORMATS = [UNSIGNED, SYMMETRIC, NumberFormat(4, False, False, Granularity.TENSOR)]
ALL: list[Observer] = [MinMax(), Moving(), Percentile(), Entropy(), Mse(), Mse(3.0)]


@pytest.mark.parametrize("observer", ALL, ids=lambda observer: observer.name)
def test_nothing_observed_is_no_range(observer: Observer) -> None:
    with pytest.raises(ValueError, match="nothing was observed"):
        observer.start(UNSIGNED).range()


@pytest.mark.parametrize("observer", ALL, ids=lambda observer: observer.name)
@pytest.mark.parametrize("number_format", FORMATS, ids=str)
@given(photos=photographs)
@settings(max_examples=15, deadline=None)
def test_no_range_leaves_the_extremes_and_zero(
    observer: Observer, number_format: NumberFormat, photos: list[NDArray[np.float32]]
) -> None:
    state = observer.start(number_format)
    for photo in photos:
        state.update(photo)
    low, high = state.range()
    everything = np.concatenate(photos)
    slack = 1e-6 * float(np.abs(everything).max())
    assert min(float(everything.min()), 0.0) - slack <= low <= high <= max(float(everything.max()), 0.0) + slack


def test_a_moving_average_is_one() -> None:
    state = Moving(0.75).start()
    for high in (8.0, 4.0, 0.0):
        state.update(np.array([-high / 2, high], np.float32))
    expected = 0.75 * (0.75 * 8 + 0.25 * 4) + 0.25 * 0
    assert state.range() == pytest.approx((-expected / 2, expected))


@pytest.mark.parametrize("norm", [2.0, 3.0, 2.4])
@pytest.mark.parametrize("number_format", FORMATS, ids=str)
@given(low=st.floats(-3.0, 0.0), high=st.floats(0.5, 4.0), edges=st.lists(st.floats(-6.0, 6.0), min_size=2, max_size=6))
@settings(max_examples=15, deadline=None)
def test_the_expected_error_is_that_of_evenly_spread_values(
    norm: float, number_format: NumberFormat, *, low: float, high: float, edges: list[float]
) -> None:
    rising = np.sort(np.array(edges))
    counts = np.arange(1.0, rising.size)
    grid = Grid.covering(low, high, number_format)
    values = rising[:-1, None] + np.diff(rising)[:, None] * (np.arange(20_000) + 0.5) / 20_000
    levels = (
        np.clip(np.rint(values / grid.scale[0]) + grid.zero_point[0], number_format.qmin, number_format.qmax)
        - grid.zero_point[0]
    )
    errors = (np.abs(values - levels * grid.scale[0]) ** norm).mean(axis=1)
    expected = float(counts @ errors / counts.sum())
    assert expected_error(counts, rising, grid, norm) == pytest.approx(expected, rel=2e-2, abs=1e-7)


@pytest.mark.parametrize("number_format", FORMATS, ids=str)
@pytest.mark.parametrize("shift", [0.0, 2.0, -30.0])
def test_mse_is_close_to_the_best_of_many_ranges(number_format: NumberFormat, shift: float) -> None:
    values = (np.random.default_rng(0).standard_normal(20_000) ** 3 + shift).astype(np.float32)
    state = Mse().start(number_format)
    state.update(values)

    def error(low: float, high: float) -> float:
        grid = Grid.covering(low, high, number_format)
        return float(np.square(values - grid.dequantize(grid.quantize(values)), dtype=np.float64).mean())

    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    shares = np.linspace(0.02, 1, 40)
    best = min(error(low * below, high * above) for below in shares for above in shares)
    found = error(*state.range())
    assert found <= 1.05 * best
    assert found <= 1.01 * error(low, high)


def test_mse_does_not_cut_a_bound_that_many_values_reach() -> None:
    values = np.random.default_rng(1).uniform(0, 9, 50_000).clip(0, 6).astype(np.float32)
    state = Mse().start(UNSIGNED)
    state.update(values)
    low, high = state.range()
    step = 6 / 255
    assert low == 0
    assert 6 - step <= high <= 6


def test_a_larger_norm_clips_less() -> None:
    values = np.random.default_rng(2).laplace(size=200_000).astype(np.float32)
    widths = []
    for norm in (1.0, 2.0, 4.0, 8.0):
        state = Mse(norm).start(UNSIGNED)
        state.update(values)
        low, high = state.range()
        widths.append(high - low)
    assert widths == sorted(widths)
    assert widths[1] < 0.9 * (values.max() - values.min())


@pytest.mark.parametrize("number_format", [UNSIGNED, SYMMETRIC], ids=str)
@pytest.mark.parametrize("one_sided", [True, False])
def test_entropy_cuts_lonely_outliers(number_format: NumberFormat, one_sided: bool) -> None:
    values = np.random.default_rng(3).standard_normal(200_000).astype(np.float32)
    values = np.abs(values) if one_sided else values
    values[:2] = 40.0
    state = Entropy().start(number_format)
    state.update(values)
    low, high = state.range()
    assert 2.0 < high < 12.0
    assert (low == 0.0) if one_sided else (-12.0 < low < -2.0)


def test_more_bits_clip_less() -> None:
    values = np.random.default_rng(4).laplace(size=100_000).astype(np.float32)
    highs = []
    for bits in (3, 4, 6, 8):
        state = Mse().start(NumberFormat(bits, False, False, Granularity.TENSOR))
        state.update(values)
        highs.append(state.range()[1])
    assert highs == sorted(highs)


@pytest.mark.parametrize("observer", [Entropy(), Mse()], ids=lambda observer: observer.name)
def test_only_zeros_are_a_range(observer: Observer) -> None:
    state = observer.start(UNSIGNED)
    state.update(np.zeros(5, np.float32))
    assert state.range() == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("minmax", "minmax"),
        ("moving", "moving(0.9)"),
        ("moving:0.5", "moving(0.5)"),
        ("percentile", "percentile(99.999)"),
        ("percentile:99.9", "percentile(99.9)"),
        ("entropy", "entropy"),
        ("mse", "mse"),
        ("mse:2.4", "mse(2.4)"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert parse_observer(text).name == name


@pytest.mark.parametrize(
    "text",
    ["", "max", "percentile:", "percentile:50", "percentile:101", "percentile:nan", "entropy:2", "moving:1", "mse:9"],
)
def test_unknown_names_say_what_there_is(text: str) -> None:
    with pytest.raises(UsageError, match="percentile:P"):
        parse_observer(text)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="50 < percentile"):
        Percentile(40)
    with pytest.raises(ValueError, match="multiple of 4"):
        StreamingHistogram(bins=6)
    with pytest.raises(ValueError, match="momentum"):
        Moving(1.0)
    with pytest.raises(ValueError, match="norm"):
        Mse(0.5)


def test_one_exceptional_photograph_does_not_set_the_usual_range() -> None:
    usual, exceptional = np.array([-1.0, 2.0], np.float32), np.array([-50.0, 40.0], np.float32)
    state = UsualMinMax().start()
    for _ in range(99):
        state.update(usual)
    assert state.range() == (-1.0, 2.0)
    state.update(exceptional)
    assert state.range() == pytest.approx((-1.5, 3.0))


def test_photographs_that_differ_little_are_all_held() -> None:
    state = UsualMinMax().start()
    for high in np.linspace(2.0, 2.8, 50, dtype=np.float32):
        state.update(np.array([0.5, high], np.float32))
    assert state.range() == pytest.approx((0.5, 2.8))
