"""Which photographs are shown: the worst and an even choice, in bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract, ResizeRule
from depthdeploy.evaluation.gallery import SIDE, Gallery, thumbnail

CONTRACT = InputContract(8, 8)
DEPTH = DepthContract(DepthKind.METRIC_DEPTH)
IMAGE = np.zeros((8, 8, 3), np.uint8)
MAP = np.eye(8, dtype=np.float32)


def shown(gallery: Gallery) -> list[int]:
    return [int(item.photo) for item in gallery.items(CONTRACT, DEPTH)]


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(0, 9))
def test_the_lowest_scores_first_and_never_more_than_the_places(scores: list[int], places: int) -> None:
    gallery = Gallery(places)
    for number, score in enumerate(scores):
        gallery.offer(str(number), IMAGE, {"fp32": MAP}, float(score))
    chosen = shown(gallery)
    assert len(chosen) == len(set(chosen)) <= places
    room = min(places // 2, len(scores))
    assert [scores[one] for one in chosen[:room]] == sorted(scores)[:room]
    assert len(chosen) >= min(places, len(scores)) - room


@pytest.mark.parametrize("count", [3, 10, 100, 1033])
def test_without_scores_the_choice_is_even(count: int) -> None:
    gallery = Gallery(6)
    for number in range(count):
        gallery.offer(str(number), IMAGE, {"fp32": MAP}, None)
    chosen = shown(gallery)
    assert chosen[0] == 0
    assert len(chosen) == min(6, count)
    steps = np.diff(chosen)
    assert steps.max() <= 2 * steps.min()


def test_what_the_network_did_not_see_is_not_shown() -> None:
    gallery = Gallery(1)
    gallery.offer("wide", np.zeros((10, 20, 3), np.uint8), {"fp32": MAP}, None)
    (item,) = gallery.items(InputContract(8, 8, resize=ResizeRule.CROP), DEPTH)
    seen = np.isfinite(item.maps["fp32"])
    assert item.unit == "m"
    assert not item.nearer_is_larger
    assert seen[:, 5:15].all()
    assert not seen[:, :5].any()
    assert not seen[:, 15:].any()


def test_thumbnails_keep_their_aspect_and_are_never_enlarged() -> None:
    assert thumbnail(np.zeros((1200, 2000, 3), np.uint8)).shape == (240, SIDE, 3)
    assert thumbnail(np.zeros((2000, 1, 3), np.uint8)).shape == (SIDE, 1, 3)
    small = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    copy = thumbnail(small)
    assert (copy == small).all()
    assert not np.shares_memory(copy, small)
