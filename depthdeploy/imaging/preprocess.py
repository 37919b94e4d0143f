"""Photographs to input tensors, exactly as an input contract says."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.depth import ColorOrder, InputContract, InputForm, Interpolation, Layout, ResizeRule
from depthdeploy.imaging.geometry import Geometry, geometry

_Number = TypeVar("_Number", np.float32, np.uint8)

_FILTERS: Final = {
    Interpolation.NEAREST: Image.Resampling.NEAREST,
    Interpolation.BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC: Image.Resampling.BICUBIC,
}
_RULES: Final = {
    ResizeRule.SQUASH: "squashed to {size}",
    ResizeRule.CROP: "cropped to {size} around the centre with its aspect ratio kept",
    ResizeRule.PAD: "fitted into {size} with its aspect ratio kept and padded with the mean colour",
}
_FILTER_NAMES: Final = {
    Interpolation.NEAREST: "nearest neighbour (Pillow)",
    Interpolation.BILINEAR: "bilinear (Pillow, antialiased)",
    Interpolation.BICUBIC: "bicubic (Pillow, antialiased)",
}


def preprocess(image: NDArray[np.uint8], contract: InputContract) -> NDArray[np.float32]:
    """The network's input tensor for a photograph.

    The photograph is resampled in 8 bits by Pillow, then ``(pixel / 255 * scale - mean) / std`` is looked up per
    channel. Where :attr:`ResizeRule.PAD` fills, the tensor is 0: the mean colour. Raw forms hold the resampled pixels
    as whole numbers.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        contract: size, resize rule, normalization and layout.

    Returns:
        float32 of ``contract.shape``, contiguous.

    Raises:
        ValueError: the image is not ``[H, W, 3]`` uint8.
    """
    if contract.form is not InputForm.NORMALIZED:
        return camera_frame(image, contract).astype(np.float32)
    frame, pixels = _placed(image, contract)
    tables = _tables(contract)
    filled = pixels.shape[:2] == (contract.height, contract.width)
    tensor = np.empty(contract.shape, np.float32) if filled else np.zeros(contract.shape, np.float32)
    for channel, table in enumerate(tables):
        np.take(
            table, pixels[:, :, _source(channel, contract)], out=_plane(tensor, channel, contract, frame), mode="clip"
        )
    return tensor


def camera_frame(image: NDArray[np.uint8], contract: InputContract) -> NDArray[np.uint8]:
    """The pixels that a network which normalises itself takes for a photograph, as a camera's driver gives them.

    They are those that :func:`preprocess` normalises. Where :attr:`ResizeRule.PAD` fills, they are the mean colour,
    rounded.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        contract: size, resize rule, colour order and layout; the mean for the filling.

    Returns:
        uint8 of ``contract.shape``, contiguous.

    Raises:
        ValueError: the image is not ``[H, W, 3]`` uint8.
    """
    frame, pixels = _placed(image, contract)
    tensor = np.empty(contract.shape, np.uint8)
    for channel, fill in enumerate(contract.fill):
        _whole(tensor, channel, contract)[:] = fill
        _plane(tensor, channel, contract, frame)[:] = pixels[:, :, _source(channel, contract)]
    return tensor


def _placed(image: NDArray[np.uint8], contract: InputContract) -> tuple[Geometry, NDArray[np.uint8]]:
    """Where a photograph lies in the network's frame, and its pixels there."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image is [H, W, 3] uint8, got {list(image.shape)} {image.dtype}")
    frame = geometry(contract, height=image.shape[0], width=image.shape[1])
    return frame, _resampled(image, frame, contract)


def _source(channel: int, contract: InputContract) -> int:
    return channel if contract.color is ColorOrder.RGB else 2 - channel


def _whole(tensor: NDArray[_Number], channel: int, contract: InputContract) -> NDArray[_Number]:
    """One channel's plane of a tensor, as a view."""
    return tensor[0, channel] if contract.layout is Layout.NCHW else tensor[0, :, :, channel]


def _plane(tensor: NDArray[_Number], channel: int, contract: InputContract, frame: Geometry) -> NDArray[_Number]:
    """The part of a plane that the photograph fills, as a view."""
    top, left, bottom, right = frame.inner
    return _whole(tensor, channel, contract)[top:bottom, left:right]


def describe(contract: InputContract) -> str:
    """The resize rule in words, for reports: ``squashed to 256x256, bicubic (Pillow, antialiased)``. Height first."""
    rule = _RULES[contract.resize].format(size=f"{contract.height}x{contract.width}")
    return f"{rule}, {_FILTER_NAMES[contract.interpolation]}"


def _resampled(image: NDArray[np.uint8], frame: Geometry, contract: InputContract) -> NDArray[np.uint8]:
    top, left, bottom, right = frame.inner
    size = (right - left, bottom - top)
    if size == (frame.width, frame.height):
        return image
    picture = Image.fromarray(image)
    return np.asarray(picture.resize(size, _FILTERS[contract.interpolation], box=frame.source_box))


@lru_cache(maxsize=64)
def _tables(contract: InputContract) -> tuple[NDArray[np.float32], ...]:
    """For each channel of the tensor the float32 value of the 256 pixel values."""
    values = np.arange(256, dtype=np.float64) / 255 * contract.scale
    pairs = zip(contract.mean, contract.std, strict=True)
    return tuple(((values - mean) / std).astype(np.float32) for mean, std in pairs)
