"""More photographs than there are: mirrored and cropped ones after the originals, no two tensors alike.

``python -m quantizers.variations ORIGINALS COUNT SEED OUT``. For time and memory; they say nothing of fidelity.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: The least side of a crop, as a share of the photograph's.
LEAST = 0.7

Array = NDArray[np.float32]


def varied(photograph: Array, random: np.random.Generator) -> Array:
    """A crop at a random place, of a random size, mirrored or not, brought back to its size bilinearly.

    Args:
        photograph: ``[3, H, W]`` float32.
        random: draws size, place and mirroring.
    """
    height, width = photograph.shape[1:]
    share = random.uniform(LEAST, 1.0)
    top, left = random.uniform(0, (1 - share) * height), random.uniform(0, (1 - share) * width)
    box = (left, top, left + share * width, top + share * height)
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR, box=box))
        for plane in photograph
    ]
    made = np.stack(planes)
    return made[:, :, ::-1] if random.random() < 0.5 else made


def photographs(originals: Array, count: int, seed: int) -> Iterator[Array]:
    """The originals, then variations of them in turn until there are ``count``."""
    random = np.random.default_rng(seed)
    for index in range(count):
        one = originals[index % len(originals)]
        yield one if index < len(originals) else varied(np.ascontiguousarray(one), random)


def main(originals: str, count: str, seed: str, out: str) -> None:
    """Write ``[COUNT, 3, H, W]`` float32, whole or not at all."""
    given = np.load(originals, mmap_mode="r")
    part = Path(f"{out}.part")
    made = np.lib.format.open_memmap(part, "w+", np.float32, (int(count), *given.shape[1:]))
    for index, one in enumerate(photographs(given, int(count), int(seed))):
        made[index] = one
    made.flush()
    part.replace(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
