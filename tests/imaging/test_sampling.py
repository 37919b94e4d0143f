from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthdeploy.core.photos import DepthRange, Photo, PointPair, Selection
from depthdeploy.errors import CalibrationError, UsageError
from depthdeploy.imaging.sampling import require_disjoint, select, shares, split


@dataclass(frozen=True, slots=True)
class Named:
    """A set that is never read."""

    photos: tuple[Photo, ...]
    name: str = "named"
    depth_range: DepthRange | None = None
    remarks: tuple[str, ...] = ()

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        raise NotImplementedError

    def depth(self, photo: Photo) -> NDArray[np.float32] | None:
        raise NotImplementedError

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        raise NotImplementedError

    def labels_digest(self, photo: Photo) -> str:
        raise NotImplementedError


def _set(strata: str) -> Named:
    return Named(tuple(Photo(f"{n:03}", f"digest-{n}", stratum) for n, stratum in enumerate(strata)))


strata = st.text("abcd", min_size=1, max_size=60)
seeds = st.integers(0, 2**31)


@given(strata, seeds, st.data())
def test_a_choice_is_a_subset_in_order_and_proportional(names: str, seed: int, data: st.DataObject) -> None:
    photoset = _set(names)
    count = data.draw(st.integers(1, len(names)))
    chosen = select(photoset, count=count, seed=seed, purpose="calibration")
    assert len(chosen.photos) == count
    assert chosen.available == len(names)
    assert list(chosen.photos) == [photo for photo in photoset.photos if photo in set(chosen.photos)]
    for stratum in set(names):
        ideal = Fraction(count * names.count(stratum), len(names))
        assert abs(chosen.strata.get(stratum, 0) - ideal) < 1


@given(strata, seeds, st.data())
def test_order_and_names_of_files_do_not_matter(names: str, seed: int, data: st.DataObject) -> None:
    photoset = _set(names)
    count = data.draw(st.integers(1, len(names)))
    shuffled = [replace(photo, id=f"renamed/{photo.id}") for photo in photoset.photos]
    random.Random(seed).shuffle(shuffled)
    first = select(photoset, count=count, seed=seed, purpose="calibration")
    second = select(Named(tuple(shuffled)), count=count, seed=seed, purpose="calibration")
    assert {photo.digest for photo in first.photos} == {photo.digest for photo in second.photos}


@given(strata.filter(lambda names: len(names) > 1), seeds, st.data())
def test_a_split_shares_nothing(names: str, seed: int, data: st.DataObject) -> None:
    calibration = data.draw(st.integers(1, len(names) - 1))
    evaluation = data.draw(st.none() | st.integers(1, len(names) - calibration))
    first, second = split(_set(names), calibration=calibration, evaluation=evaluation, seed=seed)
    require_disjoint(first, second)
    assert len(first.photos) == calibration
    assert len(second.photos) == (len(names) - calibration if evaluation is None else evaluation)
    assert not {photo.digest for photo in first.photos} & {photo.digest for photo in second.photos}


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 500), min_size=1, max_size=9), seeds, st.data())
def test_shares_sum_up_and_never_exceed_a_stratum(sizes: dict[str, int], seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, sum(sizes.values())))
    found = shares(sizes, count=count, seed=seed)
    assert sum(found.values()) == count
    assert all(0 <= found[stratum] <= sizes[stratum] for stratum in sizes)


def test_seeds_differ_and_repeat() -> None:
    photoset = _set("a" * 50)
    first = select(photoset, count=10, seed=0, purpose="calibration")
    assert first == select(photoset, count=10, seed=0, purpose="calibration")
    assert first.digest != select(photoset, count=10, seed=1, purpose="calibration").digest


def test_one_content_counts_once_whatever_the_order() -> None:
    twins = (Photo("b", "same", "x"), Photo("a", "same", "y"), Photo("c", "other", "x"))
    for photos in (twins, twins[::-1]):
        chosen = select(Named(photos), count=None, seed=0, purpose="evaluation")
        assert {photo.id for photo in chosen.photos} == {"a", "c"}
        assert chosen.available == 2


def test_too_few_is_said_with_both_numbers() -> None:
    with pytest.raises(CalibrationError, match=r"named has 3 photographs .* calibration; 4 were asked for"):
        select(_set("abc"), count=4, seed=0, purpose="calibration")
    with pytest.raises(CalibrationError, match=r"has 1 photographs .*evaluation \(of 3.*; 2 were"):
        split(_set("abc"), calibration=2, evaluation=2, seed=0)
    with pytest.raises(CalibrationError, match="0 photographs"):
        select(Named(()), count=None, seed=0, purpose="calibration")


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_is_positive(count: int) -> None:
    with pytest.raises(UsageError):
        select(_set("abc"), count=count, seed=0, purpose="calibration")


def test_all_for_calibration_leaves_an_empty_evaluation() -> None:
    for calibration, evaluation in ((3, None), (None, None), (2, 0)):
        first, second = split(_set("abc"), calibration=calibration, evaluation=evaluation, seed=0)
        assert len(first.photos) == (calibration or 3)
        assert second.photos == ()
        assert second.purpose == "evaluation"
    with pytest.raises(CalibrationError):
        split(_set("abc"), calibration=3, evaluation=1, seed=0)


def test_shared_photographs_are_named() -> None:
    def chosen(*photos: Photo, purpose: str) -> Selection:
        return Selection("set", photos, 0, 9, purpose)

    calibration = chosen(Photo("a", "1"), Photo("b", "2"), purpose="calibration")
    require_disjoint(calibration, chosen(Photo("a", "3"), purpose="evaluation"))
    with pytest.raises(CalibrationError, match=r"1 of the 2 .*z \(= b\)"):
        require_disjoint(calibration, chosen(Photo("z", "2"), Photo("y", "5"), purpose="evaluation"))
    many = [Photo(f"p{n}", str(n)) for n in range(14)]
    with pytest.raises(CalibrationError, match="and 4 more"):
        require_disjoint(chosen(*many, purpose="calibration"), chosen(*many, purpose="evaluation"))
