from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from depthdeploy.core.photos import PhotoSet
from depthdeploy.errors import UsageError
from depthdeploy.registry import datasets
from depthdeploy_calibration.datasets import sample
from depthdeploy_calibration.datasets.sample import Renders
from depthdeploy_calibration.sample import RenderedScene
from depthdeploy_calibration.sample_pairs import drawn_pairs


def test_the_samples_are_listed_without_rendering() -> None:
    begin = time.perf_counter()
    photoset = datasets["sample"].open("", None)
    assert isinstance(photoset, PhotoSet)
    assert time.perf_counter() - begin < 5
    assert photoset.name == "sample"
    assert len(photoset.photos) == 192
    assert len({photo.digest for photo in photoset.photos}) == 192
    assert {photo.stratum for photo in photoset.photos} == {"room", "street", "objects"}
    assert "rendered" in photoset.remarks[0]
    again = datasets["sample"].open("7", None)
    assert again.name == "sample:7"
    assert again.photos == photoset.photos[:7]


def test_photograph_depth_and_pairs_belong_together() -> None:
    photoset = datasets["sample"].open("3", None)
    for photo in photoset.photos:
        image, depth = photoset.image(photo), photoset.depth(photo)
        assert image.shape == (240, 320, 3)
        assert depth is not None
        assert depth.shape == (240, 320)
        assert photoset.depth_range is not None
        measured = depth[depth > 0]
        assert photoset.depth_range.near < measured.min() <= measured.max() < photoset.depth_range.far
        pairs = photoset.pairs(photo)
        assert pairs == datasets["sample"].open("3", None).pairs(photo)
        assert 5 <= len(pairs) <= 10
        for pair in pairs:
            assert depth[pair.farther] >= 1.3 * depth[pair.closer] * (1 - 1e-6)
            assert depth[pair.closer] > 0
        with pytest.raises(ValueError, match="read-only"):
            image[0, 0] = 0


def test_labels_are_digested_without_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seed: int) -> RenderedScene:
        raise AssertionError(f"scene {seed} is rendered")

    monkeypatch.setattr(sample, "_render", refuse)
    photoset = datasets["sample"].open("3", None)
    digests = [photoset.labels_digest(photo) for photo in photoset.photos]
    assert len(set(digests)) == 3
    assert digests == [datasets["sample"].open("", None).labels_digest(photo) for photo in photoset.photos]
    monkeypatch.setattr(sample, "_pairs_digest", lambda: "drawn otherwise")
    assert photoset.labels_digest(photoset.photos[0]) != digests[0]


@pytest.mark.parametrize("argument", ["0", "-1", "ten", "10001", "1.5", "²", " "])
def test_a_count_is_needed(argument: str) -> None:
    with pytest.raises(UsageError, match="is not a count"):
        datasets["sample"].open(argument, None)


def test_a_flat_scene_has_no_pairs() -> None:
    assert drawn_pairs(np.full((40, 40), 2, np.float32), seed=0) == ()
    assert drawn_pairs(np.zeros((40, 40), np.float32), seed=0) == ()


def test_points_keep_off_outlines() -> None:
    depth = np.full((60, 60), 2, np.float32)
    depth[:, 30:] = 8
    for pair in drawn_pairs(depth, seed=1):
        assert pair.closer[1] < 27
        assert pair.farther[1] >= 33


def _scene(seed: int) -> RenderedScene:
    return RenderedScene(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), seed, np.float32), "room")


def test_a_scene_is_rendered_once_for_many_threads_and_forgotten_in_order() -> None:
    calls: Counter[int] = Counter()
    lock = threading.Lock()

    def render(seed: int) -> RenderedScene:
        with lock:
            calls[seed] += 1
        time.sleep(0.02)
        return _scene(seed)

    renders = Renders(render, capacity=3)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: renders[seed].depth[0, 0], [0, 0, 1, 1, 0, 2, 2, 1] * 3))
    assert found == [0, 0, 1, 1, 0, 2, 2, 1] * 3
    assert set(calls.values()) == {1}
    for seed in (3, 4, 5, 0):
        renders[seed]
    assert calls[0] == 2
    assert calls[5] == 1


def test_a_scene_that_failed_is_tried_again() -> None:
    outcomes = iter([ValueError("no"), None])

    def render(seed: int) -> RenderedScene:
        if (fault := next(outcomes)) is not None:
            raise fault
        return _scene(seed)

    renders = Renders(render)
    with pytest.raises(ValueError, match="no"):
        renders[1]
    assert renders[1].depth[0, 0] == 1
