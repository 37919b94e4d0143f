from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from depthdeploy.core.depth import InputContract
from depthdeploy.core.photos import DepthRange, Photo, PointPair
from depthdeploy.errors import CalibrationError
from depthdeploy.imaging.preprocess import preprocess
from depthdeploy.imaging.stream import stream

CONTRACT = InputContract(32, 32)


@dataclass
class Slow:
    """Photographs that take a time to decode, one of which may be damaged."""

    seconds: float = 0.0
    damaged: str = ""
    name: str = "slow"
    photos: tuple[Photo, ...] = tuple(Photo(str(n), str(n)) for n in range(20))
    depth_range: DepthRange | None = None
    remarks: tuple[str, ...] = ()
    read: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        with self.lock:
            self.read.append(photo.id)
        time.sleep(self.seconds)
        if photo.id == self.damaged:
            raise CalibrationError(f"{photo.id} cannot be decoded.")
        return np.full((40, 50, 3), int(photo.id), np.uint8)

    def depth(self, photo: Photo) -> NDArray[np.float32] | None:
        return None

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        return ()

    def labels_digest(self, photo: Photo) -> str:
        return ""


def _reading() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("photographs")]


def test_order_and_content_are_kept() -> None:
    photoset = Slow()
    loaded = list(stream(photoset, photoset.photos, CONTRACT, workers=4, ahead=5))
    assert [one.photo for one in loaded] == list(photoset.photos)
    for one in loaded:
        assert one.image is not None
        np.testing.assert_array_equal(one.tensor, preprocess(one.image, CONTRACT))
    assert not _reading()


def test_the_image_can_be_left_out() -> None:
    assert all(one.image is None for one in stream(Slow(), Slow().photos, CONTRACT, keep_image=False))


def test_the_network_does_not_wait_for_the_decoder() -> None:
    photoset = Slow(seconds=0.03)
    begin = time.perf_counter()
    for _ in stream(photoset, photoset.photos, CONTRACT, workers=2):
        time.sleep(0.03)
    took = time.perf_counter() - begin
    # 20 x 0.03 s of either; one after the other would be 1.2 s.
    assert took < 0.95


def test_no_more_than_asked_for_is_read_ahead() -> None:
    photoset = Slow()
    numbers = stream(photoset, photoset.photos, CONTRACT, workers=2, ahead=3)
    next(numbers)
    time.sleep(0.1)
    assert len(photoset.read) <= 4
    numbers.close()  # type: ignore[attr-defined]


def test_an_error_comes_in_its_turn() -> None:
    photoset = Slow(damaged="7")
    seen: list[str] = []
    with pytest.raises(CalibrationError, match="7 cannot"):
        seen.extend(one.photo.id for one in stream(photoset, photoset.photos, CONTRACT))
    numbers = stream(photoset, photoset.photos, CONTRACT)
    assert [next(numbers).photo.id for _ in range(7)] == [str(n) for n in range(7)]
    with pytest.raises(CalibrationError):
        next(numbers)
    assert not _reading()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, RuntimeError])
def test_threads_end_when_the_consumer_stops(interrupt: type[BaseException]) -> None:
    photoset = Slow(seconds=0.02)
    numbers = stream(photoset, photoset.photos, CONTRACT, ahead=20)
    next(numbers)
    with pytest.raises(interrupt):
        numbers.throw(interrupt())  # type: ignore[attr-defined]
    assert not _reading()
    assert len(photoset.read) < 15  # those that were not begun are dropped


def test_a_forgotten_generator_waits_for_nobody() -> None:
    """The garbage collector ends it in whatever thread it runs, where waiting for other threads can last for ever."""
    photoset = Slow(seconds=0.5)
    numbers = stream(photoset, photoset.photos, CONTRACT, ahead=20)
    next(numbers)
    before = time.monotonic()
    del numbers
    assert time.monotonic() - before < 0.25
    for thread in threading.enumerate():
        if thread.name.startswith("photographs"):
            thread.join()
    assert len(photoset.read) < 15


def test_nothing_starts_before_it_is_asked_for() -> None:
    photoset = Slow()
    numbers = stream(photoset, photoset.photos, CONTRACT)
    assert not photoset.read
    assert not _reading()
    assert len(list(numbers)) == 20
    assert list(stream(photoset, [], CONTRACT)) == []


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (1, 0)])
def test_counts_are_positive(workers: int, ahead: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        stream(Slow(), [], CONTRACT, workers=workers, ahead=ahead)
