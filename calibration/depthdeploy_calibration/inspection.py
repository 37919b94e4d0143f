"""Image files as they are listed: digest and size from their bytes, damage told for all of them at once."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from depthdeploy.plugin import CalibrationError, sha256_bytes

#: A file or folder on disk or inside a zip archive.
ImagePath: TypeAlias = Path | zipfile.Path

#: Endings of the image formats that are read, in lower case.
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class ImageFile:
    """What is known of an image file without decoding it.

    Attributes:
        path: where it is.
        digest: SHA-256 of its bytes.
        height: rows of the upright photograph.
        width: columns of the upright photograph.
    """

    path: ImagePath
    digest: str
    height: int
    width: int


def inspect(files: Mapping[str, ImagePath], *, place: str) -> dict[str, ImageFile]:
    """Read every file once, for its digest and its size; decode none.

    Args:
        files: id -> file.
        place: the set's folder or file, for the message.

    Returns:
        id -> what was found, in the order of ``files``.

    Raises:
        CalibrationError: files are missing, or ``decode_image`` would refuse them (no images, cut short, animated, too
            small or too large); one error counts them all and gives the first ten reasons.
    """
    # Reading, hashing and Pillow leave Python's lock to the other threads.
    with ThreadPoolExecutor(4, thread_name_prefix="files") as pool:
        found = list(pool.map(_inspected, files.values()))
    faults = [f"{key}: {fault}" for key, fault in zip(files, found, strict=True) if isinstance(fault, str)]
    if faults:
        raise CalibrationError(
            f"{len(faults)} of the {len(files)} images of {place} cannot be used:{listing(faults)}\n",
            "Replace them or take them out of the set.",
        )
    return {key: file for key, file in zip(files, found, strict=True) if isinstance(file, ImageFile)}


def listing(items: Sequence[str]) -> str:
    """The first ten items, one a line, and how many more there are."""
    more = f"\n  and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return "".join(f"\n  {item}" for item in items[:_NAMED]) + more


def _inspected(file: ImagePath) -> ImageFile | str:
    from depthdeploy.plugin import photograph_size  # brings Pillow, which listing data sets does not need

    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return "it is missing"
    # The last four are an archive's: a damaged entry, or one that is encrypted.
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as cause:
        return f"it cannot be read: {getattr(cause, 'strerror', None) or cause}"
    try:
        height, width = photograph_size(data)
    except ValueError as refusal:
        return str(refusal)
    return ImageFile(file, sha256_bytes(data), height, width)
