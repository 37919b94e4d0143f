from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.errors import CalibrationError
from depthdeploy.imaging.decode import decode_image, photograph_size

HEIGHT, WIDTH = 48, 64


def _quadrants() -> Image.Image:
    """Red, green / blue, white: every flip and rotation of it differs."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0)
    pixels[: HEIGHT // 2, WIDTH // 2 :] = (0, 255, 0)
    pixels[HEIGHT // 2 :, : WIDTH // 2] = (0, 0, 255)
    pixels[HEIGHT // 2 :, WIDTH // 2 :] = 255
    return Image.fromarray(pixels)


def _with_orientation(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, exif=exif.tobytes(), subsampling=0)
    return stream.getvalue()


def _saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def _size(path: Path) -> tuple[int, int]:
    return photograph_size(path.read_bytes())


def _refused(path: Path, reason: str) -> None:
    """Both refuse it: the decoder by name."""
    with pytest.raises(CalibrationError, match=rf"{re.escape(path.name)} cannot be (used|decoded): .*{reason}"):
        decode_image(path)
    with pytest.raises(ValueError, match=reason):
        _size(path)


def _close(found: NDArray[np.uint8], wanted: NDArray[np.uint8], tolerance: int = 12) -> bool:
    # Away from the borders between quadrants, where JPEG rings.
    a, b = found[4:-4:9, 4:-4:9].astype(int), wanted[4:-4:9, 4:-4:9].astype(int)
    return found.shape == wanted.shape and int(np.abs(a - b).max()) <= tolerance


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda upright: upright),
        (2, lambda upright: upright[:, ::-1]),
        (3, lambda upright: upright[::-1, ::-1]),
        (4, lambda upright: upright[::-1]),
        (5, lambda upright: upright.transpose(1, 0, 2)),
        (6, lambda upright: np.rot90(upright, 1)),
        (7, lambda upright: np.rot90(upright, 2).transpose(1, 0, 2)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int, stored: object) -> None:
    upright = np.asarray(_quadrants())
    path = tmp_path / "turned.jpg"
    path.write_bytes(_with_orientation(Image.fromarray(np.ascontiguousarray(stored(upright))), orientation))  # type: ignore[operator]
    found = decode_image(path)
    assert found.dtype == np.uint8
    assert _close(found, upright)
    assert _size(path) == (HEIGHT, WIDTH)


def test_png_with_exif_behind_the_pixels_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = _saved(tmp_path / "turned.png", _quadrants().transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())
    assert _size(path) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(decode_image(path), np.asarray(_quadrants()))


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA"])
def test_every_8_bit_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    found = decode_image(_saved(tmp_path / "a.png", _quadrants().convert(mode)))
    assert found.shape == (HEIGHT, WIDTH, 3)
    assert found.flags.c_contiguous
    expected = _quadrants().convert("RGB" if mode in {"P", "RGBA"} else mode).convert("RGB")
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_transparent_pixels_are_composited_over_black(tmp_path: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    pixels[:, :32, 3] = 0
    found = decode_image(_saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert (found[:, :32] == 0).all()
    assert (found[:, 32:] == 255).all()


def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    found = decode_image(_saved(tmp_path / "grey.png", Image.fromarray(ramp)))
    np.testing.assert_array_equal(found[:, :, 0], np.round(ramp / 257).astype(np.uint8))
    assert found[0, 0, 0] == 0
    assert found[-1, -1, 2] == 255


def test_16_bit_rgb_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, HEIGHT * WIDTH * 3).astype(">u2").reshape(HEIGHT, WIDTH * 3)
    rows = b"".join(b"\0" + row.tobytes() for row in ramp)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    path = tmp_path / "rgb16.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    found = decode_image(path).reshape(HEIGHT, -1).astype(int)
    assert np.abs(found - ramp.astype(float) / 257).max() <= 1


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_with_and_without_adobe_inversion(tmp_path: Path, adobe: bool) -> None:
    cmyk = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    cmyk[..., 1:3] = 255  # magenta and yellow: red
    stream = io.BytesIO()
    # Pillow writes Adobe's inverted form; without its marker the samples are as they stand.
    Image.fromarray(cmyk if adobe else 255 - cmyk, mode="CMYK").save(stream, "JPEG", quality=95)
    data = stream.getvalue()
    start = data.find(b"\xff\xeeAdobe"[:2])
    assert data[start + 4 : start + 9] == b"Adobe"
    if not adobe:
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        data = data[:start] + data[start + 2 + length :]
    path = tmp_path / "cmyk.jpg"
    path.write_bytes(data)
    found = decode_image(path)[HEIGHT // 2, WIDTH // 2].astype(int)
    assert np.abs(found - np.array([255, 0, 0])).max() <= 8


def _animated(path: Path) -> Path:
    frames = [_quadrants(), _quadrants().transpose(Image.Transpose.ROTATE_180)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_animated_files_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    _refused(_animated(tmp_path / f"moving.{suffix}"), "animated or has several")


def test_a_phones_multi_picture_file_is_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    small = _quadrants().resize((40, 40))
    _quadrants().save(path, "MPO", save_all=True, append_images=[small], quality=95)
    assert _size(path) == (HEIGHT, WIDTH)
    assert decode_image(path).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_files_cut_short_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    path = _saved(tmp_path / f"cut.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(CalibrationError, match=rf"cut\.{suffix}"):
        decode_image(path)
    with pytest.raises(ValueError, match=r"cut short|cannot be read"):
        _size(path)


def test_a_cut_file_with_a_whole_preview_is_still_cut(tmp_path: Path) -> None:
    preview = io.BytesIO()
    _quadrants().save(preview, "JPEG")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    path = _saved(tmp_path / "cut.jpg", noise, comment=preview.getvalue())
    assert _size(path) == (200, 300)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="cut short"):
        _size(path)


@pytest.mark.parametrize("size", [(31, 400), (400, 31), (1, 1)])
def test_tiny_images_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = _saved(tmp_path / "tiny.png", Image.new("RGB", size))
    _refused(path, f"{size[0]}x{size[1]} pixels, a side needs 32")


def test_float_samples_have_no_white(tmp_path: Path) -> None:
    path = _saved(tmp_path / "f.tiff", Image.fromarray(np.ones((40, 40), np.float32)))
    with pytest.raises(CalibrationError, match="float samples"):
        decode_image(path)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    data = bytearray(_saved(tmp_path / "bomb.png", Image.new("L", (40, 40))).read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(data)
    _refused(tmp_path / "bomb.png", "decompression bomb")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as a program may have it
def test_what_pillow_only_warns_of_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path / "large.png", _quadrants())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH)
    assert _size(path) == decode_image(path).shape[:2]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    _refused(path, "64x48 pixels, more than 3,071 in all")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert _size(path) == (HEIGHT, WIDTH)


def _with_damaged_exif(path: Path) -> Path:
    """An orientation, and a maker's name that lies behind the end of the block."""
    entries = struct.pack("<HHII", 0x010F, 2, 1000, 5000) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4)
    return _saved(path, _quadrants(), exif=exif)


def test_damaged_metadata_is_passed_over_without_a_word(tmp_path: Path) -> None:
    path = _with_damaged_exif(tmp_path / "a.jpg")
    with pytest.warns(UserWarning, match="corrupt EXIF|Truncated|larger than file"), Image.open(path) as image:
        image.getexif()
    # A process of its own: pytest puts its own filters before those of the module.
    program = f"""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import warnings
from depthdeploy.imaging.decode import decode_image, photograph_size
path = Path({str(path)!r})
with ThreadPoolExecutor(4) as pool:
    for _ in pool.map(lambda _: (decode_image(path), photograph_size(path.read_bytes())), range(40)):
        pass
try:
    warnings.warn("another's", UserWarning)
except UserWarning:
    print("others stay")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "others stay\n")


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.jpg").mkdir()
    for name in ("text.jpg", "empty.png"):
        _refused(tmp_path / name, "it is no JPEG")
    for name in ("text.jpg", "folder.jpg", "missing.jpg"):
        with pytest.raises(CalibrationError, match=name) as caught:
            decode_image(tmp_path / name)
        assert caught.value.remedy


def test_formats_of_other_kinds_are_not_parsed(tmp_path: Path) -> None:
    for kind in ("PCX", "DDS", "EPS"):
        _saved(tmp_path / "other.jpg", _quadrants(), format=kind)
        _refused(tmp_path / "other.jpg", "it is no JPEG")


def test_files_in_a_zip_archive(tmp_path: Path) -> None:
    image = _saved(tmp_path / "a.png", _quadrants())
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(image, "inside/a.png")
    inside = zipfile.Path(tmp_path / "set.zip") / "inside" / "a.png"
    np.testing.assert_array_equal(decode_image(inside), np.asarray(_quadrants()))
    with pytest.raises(CalibrationError, match=r"set\.zip.*b\.png"):
        decode_image(zipfile.Path(tmp_path / "set.zip") / "inside" / "b.png")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["jpg", "png", "gif", "webp", "tiff", "bmp"]),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12),
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # as the module has it; pytest's own filters stand before
def test_damaged_bytes_decode_or_are_refused(tmp_path: Path, suffix: str, edits: list[tuple[int, int]]) -> None:
    path = tmp_path / f"damaged.{suffix}"
    stream = io.BytesIO()
    if suffix == "jpg":
        stream.write(_with_orientation(_quadrants(), 6))
    else:
        _quadrants().save(stream, {"tiff": "TIFF"}.get(suffix, suffix.upper()))
    data = bytearray(stream.getvalue())
    for place, value in edits:
        data[place % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(CalibrationError):
        decode_image(path)
    with contextlib.suppress(ValueError):
        _size(path)


def test_real_photographs_decode() -> None:
    root = os.environ.get("DEPTHDEPLOY_TEST_DATA")
    if not root:
        pytest.skip("DEPTHDEPLOY_TEST_DATA is not set")
    paths = sorted(Path(root, "photos").rglob("*.*"))[:20]
    for path in paths:
        assert decode_image(path).shape[:2] == _size(path)
