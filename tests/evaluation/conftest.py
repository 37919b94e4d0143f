"""A small set of photographs with measured depth and pairs, and networks that know the answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.metrics import Evidence
from depthdeploy.core.photos import DepthRange, Photo, PointPair
from depthdeploy.evaluation.scoring import Candidate
from depthdeploy.imaging.stream import Loaded, stream

Change = Callable[[NDArray[Any]], NDArray[Any]]

HEIGHT, WIDTH = 48, 64


@dataclass
class Rooms:
    """Floors that rise to the horizon; the brightness of a pixel is its inverse depth, so a network can be exact."""

    count: int
    depth_range: DepthRange | None
    name: str = "rooms"
    remarks: tuple[str, ...] = ()
    points: bool = True

    @property
    def photos(self) -> tuple[Photo, ...]:
        return tuple(Photo(f"room-{n}.png", f"{n:064d}", "even" if n % 2 == 0 else "odd") for n in range(self.count))

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        return np.repeat(self.inverse(photo)[:, :, None], 3, axis=2)

    def inverse(self, photo: Photo) -> NDArray[np.uint8]:
        number = int(photo.digest)
        rows = np.linspace(40, 200, HEIGHT)[:, None]
        return (rows + np.linspace(0, 30 + number % 20, WIDTH)[None, :]).astype(np.uint8)

    def depth(self, photo: Photo) -> NDArray[np.float32] | None:
        return (255 / self.inverse(photo)).astype(np.float32)

    def labels_digest(self, photo: Photo) -> str:
        return ""

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        return (PointPair((40, 10), (5, 10)), PointPair((47, 60), (20, 3))) if self.points else ()


@dataclass
class World:
    """The pieces of a call to ``evaluate``."""

    photoset: Rooms
    depth: DepthContract
    contract: InputContract
    runs: dict[str, int] = field(default_factory=dict)

    def loaded(self) -> Iterable[Loaded]:
        return stream(self.photoset, self.photoset.photos, self.contract)

    def candidate(self, name: str, change: Change = lambda p: p, evidence: Evidence = Evidence.EMULATED) -> Candidate:
        """A network that predicts from brightness, which is inverse depth, and then changes its prediction."""

        def predict(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
            self.runs[name] = self.runs.get(name, 0) + 1
            inverse = tensor.mean(axis=1, keepdims=True)
            exact = inverse if self.depth.kind is DepthKind.INVERSE_DEPTH else 1 / inverse
            return change(exact).astype(np.float32)

        return Candidate(name, "numpy", evidence, predict)


@pytest.fixture
def make_world() -> Callable[..., World]:
    def make(
        kind: DepthKind = DepthKind.INVERSE_DEPTH,
        *,
        count: int = 6,
        depth_range: DepthRange | None = DepthRange(0.5, 10.0),  # noqa: B008  frozen
        points: bool = True,
    ) -> World:
        rooms = Rooms(count=count, depth_range=depth_range, points=points)
        return World(rooms, DepthContract(kind), InputContract(HEIGHT, WIDTH))

    return make
