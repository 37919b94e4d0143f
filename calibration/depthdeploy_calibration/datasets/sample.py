"""``sample``: rendered photographs with exact depth, built in."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from depthdeploy.plugin import DepthRange, Photo, PointPair, UsageError, digest_of
from depthdeploy_calibration.sample import RenderedScene, render_scene
from depthdeploy_calibration.sample.compose import compose_scene
from depthdeploy_calibration.sample_pairs import drawn_pairs

#: Rows and columns of every photograph.
HEIGHT, WIDTH = 240, 320
#: How many there are when no count is given.
COUNT: Final = 192
#: Scenes from a million on train and judge the built-in network, and are never among the samples.
LARGEST_COUNT: Final = 10_000

Scalar = TypeVar("Scalar", bound=np.generic)
_RANGE: Final = DepthRange(near=0.1, far=80.0)


@dataclass(frozen=True, slots=True)
class Renders:
    """The scenes rendered last; a scene that several threads ask for is rendered once.

    Attributes:
        render: seed -> scene.
        capacity: how many are kept.
    """

    render: Callable[[int], RenderedScene]
    capacity: int = 16
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: OrderedDict[int, Future[RenderedScene]] = field(default_factory=OrderedDict)

    def __getitem__(self, seed: int) -> RenderedScene:
        with self._lock:
            mine = seed not in self._kept
            scene = self._kept.setdefault(seed, Future())
            self._kept.move_to_end(seed)
            while len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
        if mine:
            try:
                scene.set_result(self.render(seed))
            except BaseException as cause:  # whoever waits for this scene must hear of it, an interrupt included
                with self._lock:
                    self._kept.pop(seed, None)
                scene.set_exception(cause)
        return scene.result()


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Rendered photographs; depth is exact, and pairs are drawn from it.

    Attributes:
        name: for reports.
        photos: every photograph, its seed as id, the kind of scene as stratum.
    """

    name: str
    photos: tuple[Photo, ...]
    renders: Renders = field(repr=False)

    @property
    def depth_range(self) -> DepthRange:
        """Everything the renderer measures, without a crop."""
        return _RANGE

    @property
    def remarks(self) -> tuple[str, ...]:
        """That they are rendered."""
        return ("rendered photographs: figures compare networks with one another, not with results on real ones",)

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        """The photograph, ``[240, 320, 3]`` uint8 RGB, read-only."""
        return _read_only(self.renders[int(photo.id)].image)

    def depth(self, photo: Photo) -> NDArray[np.float32]:
        """Exact depth in metres, ``[240, 320]`` float32, 0 where there is none, read-only."""
        return _read_only(self.renders[int(photo.id)].depth)

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        """About ten pairs whose depths differ by a factor of 1.3 or more, the same ones every time."""
        return drawn_pairs(self.depth(photo), seed=int(photo.id))

    def labels_digest(self, photo: Photo) -> str:
        """SHA-256 of the scene's recipe, of how pairs are drawn from it, and of the range; nothing is rendered."""
        return digest_of({"scene": photo.digest, "pairs": _pairs_digest(), "range": self.depth_range})


@dataclass(frozen=True, slots=True)
class Sample:
    """The built-in set: it needs no download, and its digests no rendering."""

    id: str = "sample"
    title: str = "rendered rooms, streets and objects with exact depth, built in"
    usage: str = "sample, or sample:COUNT"

    def open(self, argument: str, data_root: Path | None) -> SampleSet:
        """List the scenes; none is rendered.

        Args:
            argument: how many, 192 when empty.
            data_root: not used.

        Raises:
            UsageError: the argument is not a count from 1 to 10,000.
        """
        count = int(argument) if argument.isascii() and argument.isdigit() else COUNT if not argument else 0
        if not 1 <= count <= LARGEST_COUNT:
            raise UsageError(
                f"sample:{argument} is not a count.", f"Write sample, or sample:COUNT with 1 to {LARGEST_COUNT:,}."
            )
        photos = tuple(_photo(seed) for seed in range(count))
        return SampleSet(f"sample:{count}" if argument else self.id, photos, Renders(_render))


def _render(seed: int) -> RenderedScene:
    return render_scene(seed, height=HEIGHT, width=WIDTH)


@lru_cache(maxsize=LARGEST_COUNT)
def _photo(seed: int) -> Photo:
    digest = digest_of({"renderer": _renderer_digest(), "seed": seed, "size": (HEIGHT, WIDTH)})
    return Photo(f"{seed:04}", digest, compose_scene(seed).kind)


@lru_cache(maxsize=1)
def _renderer_digest() -> str:
    """The digest of the renderer's sources: a change of it makes other photographs."""
    return _sources_digest(resources.files("depthdeploy_calibration.sample").iterdir())


@lru_cache(maxsize=1)
def _pairs_digest() -> str:
    """The digest of the source that draws pairs: a change of it draws others."""
    return _sources_digest([resources.files("depthdeploy_calibration") / "sample_pairs.py"])


def _sources_digest(files: Iterable[Traversable]) -> str:
    digest = hashlib.sha256()
    for source in sorted((file for file in files if file.name.endswith(".py")), key=lambda file: file.name):
        # Line ends differ between platforms' checkouts.
        digest.update(source.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def _read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view


plugin = Sample()
