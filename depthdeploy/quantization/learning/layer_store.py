"""What was learned of each layer, on disk: an interrupted run goes on with the layer at which it stopped."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.digest import digest_of, sha256_bytes
from depthdeploy.errors import StorageError


@dataclass(frozen=True, slots=True, eq=False)
class LearnedLayer:
    """What was learned of one layer.

    Attributes:
        weight: in the operator's layout, on its grid.
        bias: ``[outputs]``; empty where it has not changed.
        before: noise power over signal power of nearest rounding on held-out positions; NaN if not measured.
        after: likewise of this weight.
        iterations: that were run.
        cut: whether a time budget allowed fewer than were asked for.
        rolled_back: whether learning made it worse than nearest rounding, which it therefore is.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    before: float
    after: float
    iterations: int
    cut: bool
    rolled_back: bool

    @property
    def digest(self) -> str:
        """Of what later layers depend on."""
        return sha256_bytes(self.weight.tobytes() + self.bias.tobytes())


class LayerStore:
    """One file per layer; each is valid for one identity and the results of all layers before it.

    Args:
        folder: where the files lie.
        identity: of everything that the results depend on besides.
        accept_cut: whether a result that a time budget cut short may be taken.
    """

    def __init__(self, folder: Path, identity: str, *, accept_cut: bool) -> None:
        self._folder, self._chain, self._accept_cut = folder, identity, accept_cut
        self._count = 0

    def take(self, name: str) -> LearnedLayer | None:
        """The next layer's result if it lies there."""
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["key"]) != self._key(name):
                    return None
                before, after, iterations, cut, rolled_back = stored["facts"].tolist()
                found = LearnedLayer(
                    stored["weight"], stored["bias"], before, after, int(iterations), bool(cut), bool(rolled_back)
                )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        if found.cut and not self._accept_cut:
            return None
        self._next(name, found)
        return found

    def put(self, name: str, layer: LearnedLayer) -> None:
        """Store the next layer's result; its file appears whole or not at all.

        Raises:
            StorageError: it cannot be written.
        """
        facts = np.array([layer.before, layer.after, layer.iterations, layer.cut, layer.rolled_back], dtype=np.float64)
        partial = self._path.with_suffix(".partial.npz")
        try:
            np.savez(partial, key=np.array(self._key(name)), weight=layer.weight, bias=layer.bias, facts=facts)
            partial.replace(self._path)
        except OSError as cause:
            raise StorageError(
                f"{self._path} cannot be written: {cause.strerror or cause}.", "Free some space, or check the rights."
            ) from cause
        self._next(name, layer)

    @property
    def _path(self) -> Path:
        return self._folder / f"layer-{self._count:04d}.npz"

    def _key(self, name: str) -> str:
        return digest_of((self._chain, name))

    def _next(self, name: str, layer: LearnedLayer) -> None:
        self._chain = digest_of((self._key(name), layer.digest))
        self._count += 1
