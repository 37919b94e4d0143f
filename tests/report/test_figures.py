"""Colour tables, error maps and the pictures made of them."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.gallery import GalleryItem
from depthdeploy.report.colors import ember, painted, tide
from depthdeploy.report.figures import draw, error_map, figures


def lightness(table: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE L* of sRGB: another space than the one that the tables are made in."""
    share = table / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance))


@pytest.mark.parametrize(("table", "sign"), [(ember, 1), (tide, -1)])
def test_lightness_runs_evenly_one_way(table: Callable[[], NDArray[np.uint8]], sign: int) -> None:
    steps = sign * np.diff(lightness(table()))
    # 8 bits a channel round each step; over 16 of them the slope is even within a factor of two
    coarse = steps[:240].reshape(15, 16).sum(axis=1)
    assert np.all(coarse > 0)
    assert coarse.max() < 2 * coarse.min()


def test_near_is_bright_and_warm() -> None:
    far, near = ember()[0].astype(int), ember()[-1].astype(int)
    assert near.sum() > 600
    assert far.sum() < 150
    assert near[0] > near[2]
    assert far[2] > far[1]


def test_values_beyond_the_ends_and_unseen_pixels() -> None:
    pixels = painted(np.array([[-1.0, 0.0, 1.0, 7.0, np.nan]]), ember())[0]
    assert (pixels[0] == pixels[1]).all()
    assert (pixels[2] == pixels[3]).all()
    assert pixels[4].tolist() == [128, 128, 128]


def test_the_error_is_a_share_of_the_reference_range() -> None:
    reference = np.array([[0.0, 10.0]], dtype=np.float32)
    error = error_map(np.array([[1.0, np.nan]], dtype=np.float32), reference)
    assert error[0, 0] == pytest.approx(10.0)
    assert np.isnan(error[0, 1])


@pytest.mark.parametrize("nearer_is_larger", [True, False])
def test_near_is_bright_for_both_signs(nearer_is_larger: bool) -> None:
    rising = np.tile(np.linspace(1, 5, 400, dtype=np.float32), (300, 1))
    item = GalleryItem("p", np.zeros((300, 400, 3), np.uint8), {"fp32": rising}, nearer_is_larger, "m", "")
    picture = np.asarray(draw(item)).astype(int).sum(axis=2)
    middle = picture[100, 10 + 320 + 10 : 10 + 320 + 10 + 320]
    assert (middle[-5] > middle[5]) == nearer_is_larger


def test_pictures_have_safe_names_and_true_captions(gallery: tuple[GalleryItem, ...]) -> None:
    first, second = figures(gallery)
    assert (first.path, second.path) == ("maps/00-indoor-a.png", "maps/01-tr-s-l-ng-name.png")
    assert "int8: error 0." in first.caption
    assert "of the FP32 range" in first.caption
    wide, tall = (Image.open(io.BytesIO(figure.png)) for figure in (first, second))
    # photograph, fp32, int8, error
    assert wide.size == (10 + 4 * (320 + 10), 20 + 20 + 240 + 12 + 6 + 20)
    assert tall.size == (10 + 4 * (250 + 10), 20 + 20 + 320 + 12 + 6 + 20)


def test_the_same_gallery_gives_the_same_bytes(gallery: tuple[GalleryItem, ...]) -> None:
    assert [figure.png for figure in figures(gallery)] == [figure.png for figure in figures(gallery)]
