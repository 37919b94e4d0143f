"""Photographs to input tensors, exactly as an input contract says."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.depth import ColorOrder, InputContract, Interpolation, Layout, ResizeRule
from depthdeploy.imaging.geometry import Geometry, geometry

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
    channel. Where :attr:`ResizeRule.PAD` fills, the tensor is 0: the mean colour.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        contract: size, resize rule, normalization and layout.

    Returns:
        float32 of ``contract.shape``, contiguous.

    Raises:
        ValueError: the image is not ``[H, W, 3]`` uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image is [H, W, 3] uint8, got {list(image.shape)} {image.dtype}")
    frame = geometry(contract, height=image.shape[0], width=image.shape[1])
    pixels = _resampled(image, frame, contract)
    tables = _tables(contract)
    top, left, bottom, right = frame.inner
    filled = (bottom - top, right - left) == (contract.height, contract.width)
    tensor = np.empty(contract.shape, np.float32) if filled else np.zeros(contract.shape, np.float32)
    planes = tensor[0] if contract.layout is Layout.NCHW else tensor[0].transpose(2, 0, 1)
    for channel, table in enumerate(tables):
        source = channel if contract.color is ColorOrder.RGB else 2 - channel
        np.take(table, pixels[:, :, source], out=planes[channel, top:bottom, left:right], mode="clip")
    return tensor


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
