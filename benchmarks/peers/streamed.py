"""The project's quantizer on photographs that are read from the file one by one, as ``compile`` reads them.

Pages of a mapped file count as resident memory of the process that maps it: with many photographs a memory curve would
show the photographs, not the quantizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peers import ours
from peers.common import Made, Task, main


@dataclass(frozen=True, slots=True)
class Streamed(Task):
    """A task whose photographs lie in a C-ordered ``.npy`` file, of which one is in memory at a time."""

    def batches(self) -> Iterator[NDArray[np.float32]]:
        """One photograph after another, ``[1, 3, H, W]``."""
        mapped = self.photographs
        if not isinstance(mapped, np.memmap) or mapped.filename is None or not mapped.flags.c_contiguous:
            raise SystemExit("the photographs are not the first ones of a C-ordered .npy file")
        shape = (1, *mapped.shape[1:])
        with Path(mapped.filename).open("rb") as file:
            file.seek(mapped.offset)
            for _ in range(len(mapped)):
                yield np.fromfile(file, mapped.dtype, int(np.prod(shape))).reshape(shape)


def quantize(task: Task) -> Made:
    """What :func:`peers.ours.quantize` does."""
    return ours.quantize(Streamed(task.model, task.photographs, task.folder, task.recipe, task.options))


if __name__ == "__main__":
    main(quantize)
