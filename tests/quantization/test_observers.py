"""Observers: extremes, streaming histograms, and the names users give them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from depthdeploy.errors import UsageError
from depthdeploy.quantization.observers import MinMax, Percentile, StreamingHistogram, parse_observer

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


@pytest.mark.parametrize("observer", [MinMax(), Percentile()], ids=lambda observer: observer.name)
def test_nothing_observed_is_no_range(observer: MinMax | Percentile) -> None:
    with pytest.raises(ValueError, match="nothing was observed"):
        observer.start().range()


@pytest.mark.parametrize(
    ("text", "name"),
    [("minmax", "minmax"), ("percentile", "percentile(99.999)"), ("percentile:99.9", "percentile(99.9)")],
)
def test_names(text: str, name: str) -> None:
    assert parse_observer(text).name == name


@pytest.mark.parametrize(
    "text", ["", "max", "percentile:", "percentile:50", "percentile:101", "percentile:nan", "entropy:2", "moving:1", "mse:9"]
)
def test_unknown_names_say_what_there_is(text: str) -> None:
    with pytest.raises(UsageError, match="percentile:P"):
        parse_observer(text)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="50 < percentile"):
        Percentile(40)
    with pytest.raises(ValueError, match="multiple of 4"):
        StreamingHistogram(bins=6)
