"""Image files as they are listed: digest and size from their bytes, damage told for all of them at once."""

from __future__ import annotations

import io
import struct
import zipfile
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

# What decode_image reads: Pillow's other parsers are never let near a user's file. MPO opens as JPEG.
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_SMALLEST_SIDE: Final = 32
_NAMED: Final = 10
_ORIENTATION: Final = 0x0112
_SIDEWAYS: Final = (5, 6, 7, 8)


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
        CalibrationError: files are missing, no images, cut short, animated or smaller than 32 pixels on a side; one
            error counts them all and gives the first ten reasons.
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
    from PIL import Image, UnidentifiedImageError

    try:
        data = file.read_bytes()
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if fault := _fault(
                image.format or "", image.size, animated=getattr(image, "is_animated", False), data=data
            ):
                return fault
            # Pillow decodes a PNG to look for EXIF behind the pixels: only where there can be some.
            may_turn = image.format != "PNG" or b"eXIf" in data
            sideways = may_turn and image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
    except FileNotFoundError:
        return "it is missing"
    except UnidentifiedImageError:
        return "it is no JPEG, PNG, WebP, BMP, TIFF or GIF image"
    except OSError as cause:
        return f"it cannot be read: {cause.strerror or cause}"
    except (SyntaxError, ValueError, TypeError, LookupError, struct.error, zipfile.BadZipFile) as cause:
        return f"it cannot be read: {cause}"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as cause:
        return str(cause)
    return ImageFile(file, sha256_bytes(data), *((width, height) if sideways else (height, width)))


def _fault(kind: str, size: tuple[int, int], *, animated: bool, data: bytes) -> str:
    if animated and kind != "MPO":  # a phone's photograph with its preview or depth behind it
        return "it is animated or has several pages, which one is meant is not said"
    if min(size) < _SMALLEST_SIDE:
        return f"it has {size[0]}x{size[1]} pixels, a side needs {_SMALLEST_SIDE} or more"
    # An end marker before the last scan is that of a preview inside.
    cut_jpeg = kind in ("JPEG", "MPO") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    cut_webp = kind == "WEBP" and len(data) < int.from_bytes(data[4:8], "little") + 8
    if cut_jpeg or cut_webp or (kind == "PNG" and b"IEND" not in data):
        return "it is cut short, its end is missing"
    return ""
