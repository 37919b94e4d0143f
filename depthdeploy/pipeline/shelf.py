"""The results of a recipe's steps in the store, and the working folders of what learns."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from depthdeploy.core.digest import digest_of
from depthdeploy.pipeline.model_stages import versions_of
from depthdeploy.pipeline.store import Store

T = TypeVar("T")

#: The folder of the store that holds the results of steps.
STEPS = "steps"


def working_folders(cache: Path) -> Path:
    """Where algorithms that learn store their own progress, in the cache."""
    return cache / "learning"


def clear_working_folders(cache: Path) -> int:
    """Remove what interrupted learning left; the bytes that were freed."""
    root = working_folders(cache)
    freed = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    shutil.rmtree(root, ignore_errors=True)
    return freed


@dataclass(frozen=True, slots=True)
class StoredSteps:
    """A shelf in the store of results.

    Attributes:
        store: where finished steps lie.
        budget: seconds that learning and searching may take; a result made in less time is another result.
    """

    store: Store
    budget: float | None = None

    def take(self, depends: object, kind: type[T], make: Callable[[Path, Path], T], *, timed: bool) -> T:
        """The stored result of a step, or the one that ``make`` computes and that is then stored.

        A timed step works in a folder that outlives an interruption and is removed when the step ends well.
        """
        versions = versions_of("onnx-ir", "onnxruntime", "pillow", "numpy", *(("torch",) if timed else ()))
        key = (depends, versions, self.budget if timed else None)
        if not timed:
            return self.store.take(STEPS, key, kind, lambda folder: make(folder, folder))[0]
        place = working_folders(self.store.root.parent) / digest_of(key)[:32]
        with _owned(place) as mine:
            result, _ = self.store.take(STEPS, key, kind, lambda folder: make(folder, place if mine else folder))
            if mine:
                shutil.rmtree(place, ignore_errors=True)
        return result


@contextlib.contextmanager
def _owned(place: Path) -> Iterator[bool]:
    """Whether this process alone works in a folder; another that does the same step works without one."""
    try:
        import fcntl
    except ImportError:  # Windows: two equal runs at once are not told apart
        place.mkdir(parents=True, exist_ok=True)
        yield True
        return
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
