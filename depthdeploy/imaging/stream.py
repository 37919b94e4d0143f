"""Photographs read and preprocessed ahead of the network, so that it never waits for a JPEG."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.depth import InputContract
from depthdeploy.core.photos import Photo, PhotoSet
from depthdeploy.imaging.preprocess import preprocess


@dataclass(frozen=True, slots=True)
class Loaded:
    """One photograph, ready for the network.

    Attributes:
        photo: which one.
        image: ``[H, W, 3]`` uint8 RGB; ``None`` when it was not asked for.
        tensor: float32 of the contract's shape.
    """

    photo: Photo
    image: NDArray[np.uint8] | None
    tensor: NDArray[np.float32]


def stream(
    photoset: PhotoSet,
    photos: Sequence[Photo],
    contract: InputContract,
    *,
    workers: int = 2,
    ahead: int = 8,
    keep_image: bool = True,
) -> Iterator[Loaded]:
    """The photographs in order, each decoded and preprocessed in the background before it is asked for.

    At most ``ahead`` photographs are held at a time besides the one given out. Threads end when the iterator is
    exhausted, closed or collected, or when an exception passes through it; a photograph in work is finished first.

    Args:
        photoset: where they are read from.
        photos: which ones, in the order wanted.
        contract: the network's input.
        workers: threads, at least 1; Pillow decodes and resizes without Python's lock.
        ahead: photographs in preparation, at least 1.
        keep_image: whether to give the photograph out besides its tensor.

    Yields:
        One value a photograph.

    Raises:
        CalibrationError: a photograph cannot be decoded; raised in its turn, after those before it were given out.
        ValueError: ``workers`` or ``ahead`` is not positive.
    """
    if workers < 1 or ahead < 1:
        raise ValueError(f"workers and ahead are positive, got {workers} and {ahead}")
    return _loaded(photoset, photos, contract, workers=workers, ahead=ahead, keep_image=keep_image)


def _loaded(
    photoset: PhotoSet, photos: Sequence[Photo], contract: InputContract, *, workers: int, ahead: int, keep_image: bool
) -> Iterator[Loaded]:
    def load(photo: Photo) -> Loaded:
        image = photoset.image(photo)
        return Loaded(photo, image if keep_image else None, preprocess(image, contract))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="photographs")
    waiting: deque[Future[Loaded]] = deque()
    collected = False
    try:
        for photo in photos:
            if len(waiting) == ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(load, photo))
        while waiting:
            yield waiting.popleft().result()
    except GeneratorExit:
        collected = True
        raise
    finally:
        # The garbage collector may end a generator in any thread, also in one that is just starting and holds the lock
        # that joining needs: waiting there would never end.
        pool.shutdown(wait=not collected, cancel_futures=True)
