"""Image files to upright 8-bit RGB arrays, and their size without decoding them."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError

from depthdeploy.errors import CalibrationError

#: A file on disk or inside a zip archive.
ImagePath: TypeAlias = Path | zipfile.Path

#: Photographs with a side under this many pixels are refused: no depth network sees anything in them.
SMALLEST_SIDE: Final = 32

#: Pillow's names of the formats that are read; its other parsers are never let near a user's file. MPO opens as JPEG.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

# Pillow warns of damaged metadata (EXIF, an animation's header) of files whose pixels it reads well. Its warnings carry
# no class of their own, so they are known by the module. Photographs are decoded in threads, and catch_warnings puts
# back the filters of the whole process, those of the other threads too: hence once, on import, and for good.
# DecompressionBombWarning is no UserWarning and passes; it does not stop Pillow, _require_photograph does.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_REMEDY: Final = "Replace it or take it out of the set."
# What Pillow and zipfile raise for damaged bytes; several of its parsers let their own arithmetic fail.
_DAMAGE: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_EXIF_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Refusal(ValueError):
    """Why bytes are no photograph."""


def decode_image(path: ImagePath) -> NDArray[np.uint8]:
    """The photograph in a file, ``[H, W, 3]`` uint8 RGB, upright, contiguous.

    The EXIF rotation is applied. Greyscale and palette images become RGB, CMYK as well (Adobe's inverted form too), by
    ``(255 - C)(255 - K) / 255``. Colour profiles are ignored, as the networks' training did. Transparent pixels are
    composited over black. 16-bit samples are scaled to 8 bits, not clipped.

    Args:
        path: the file, on disk or in a zip archive.

    Raises:
        CalibrationError: the file is missing, damaged, cut short, animated, smaller than 32 pixels on a side, larger
            than Pillow's limit against decompression bombs, or holds samples without a defined white (float, 32-bit).
    """
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
            _require_photograph(image)
            image.load()
            return np.asarray(_to_rgb(_turned(image)))
    except _Refusal as refusal:
        raise CalibrationError(f"{path} cannot be used: {refusal}.", _REMEDY) from refusal
    except _DAMAGE as cause:
        raise CalibrationError(f"{path} cannot be decoded: {_reason(cause)}.", _REMEDY) from cause


def photograph_size(data: bytes) -> tuple[int, int]:
    """Height and width of the upright photograph in a file's bytes; its header and its end are read, no pixel decoded.

    Args:
        data: the whole file, which the caller may digest as well.

    Raises:
        ValueError: why :func:`decode_image` would refuse it, as a phrase without the file's name: no image, cut short
            (JPEG, PNG, WebP), animated, too small or too large.
    """
    try:
        return _probe(data)
    except _Refusal:
        raise
    except _DAMAGE as cause:
        raise _Refusal(f"it cannot be read: {_reason(cause)}") from cause


def _probe(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _require_photograph(image)
        _require_whole(data, image.format)
        width, height = image.size
        # Pillow decodes a PNG to look for EXIF behind the pixels: only where there can be some.
        may_turn = image.format != "PNG" or b"eXIf" in data or b"Raw profile type exif" in data
        sideways = may_turn and image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if sideways else (height, width)


def _require_photograph(image: Image.Image) -> None:
    # Phones store a preview or a depth map behind the photograph (MPO); the photograph is the first of them.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise _Refusal("it is animated or has several pages, which one is meant is not said")
    if min(image.size) < SMALLEST_SIDE:
        raise _Refusal(f"it has {image.width}x{image.height} pixels, a side needs {SMALLEST_SIDE} or more")
    # Up to twice its limit Pillow only warns, and a warning is what the program around this makes of it.
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise _Refusal(f"it has {image.width}x{image.height} pixels, more than {Image.MAX_IMAGE_PIXELS:,} in all")


def _require_whole(data: bytes, kind: str | None) -> None:
    match kind:
        case "JPEG" | "MPO":
            # Neither marker occurs inside entropy-coded data, so an end before the last scan is a preview's.
            whole = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
        case "PNG":
            whole = b"IEND" in data
        case "WEBP":
            whole = len(data) >= int.from_bytes(data[4:8], "little") + 8
        case _:
            whole = True
    if not whole:
        raise _Refusal("it is cut short, its end is missing")


def _turned(image: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise _Refusal(f"it holds {'32-bit' if image.mode == 'I' else 'float'} samples, which have no defined white")
    if image.mode == "CMYK":
        # Pillow takes every CMYK JPEG for Adobe's inverted form; without Adobe's marker it is not inverted.
        plain = image.format == "JPEG" and "adobe" not in image.info
        return (ImageChops.invert(image) if plain else image).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image.convert("RGB")


def _reason(cause: BaseException) -> str:
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, UnidentifiedImageError):
        return "it is no JPEG, PNG, WebP, BMP, TIFF or GIF image"
    return str(cause).rstrip(".") or type(cause).__name__
