from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthdeploy.core.photos import DatasetPlugin, PhotoSet
from depthdeploy.errors import CalibrationError, UsageError
from depthdeploy.registry import datasets

HEIGHT, WIDTH = 40, 64


def _photo(path: Path, seed: int, *, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


def _pair(first: list[int], second: list[int], closer: str = "point1") -> dict[str, object]:
    return {"point1": first, "point2": second, "closer_point": closer}


@pytest.mark.parametrize("name", ["sample", "folder", "pairs", "da2k", "nyuv2", "kitti"])
def test_every_set_is_a_plugin_that_says_what_it_needs(name: str, tmp_path: Path) -> None:
    plugin = datasets[name]
    assert isinstance(plugin, DatasetPlugin)
    assert plugin.id == name
    assert plugin.title
    assert name in plugin.usage
    if name == "sample":
        return
    with pytest.raises(UsageError) as caught:
        plugin.open("", None)
    assert caught.value.remedy
    if name not in {"folder", "pairs"}:
        assert "--data-root" in caught.value.remedy
        assert "https://" in caught.value.remedy
    with pytest.raises(CalibrationError, match="missing-place"):
        plugin.open(str(tmp_path / "missing-place"), None)


# folder


def test_a_folder_is_listed_with_its_subfolders(tmp_path: Path) -> None:
    _photo(tmp_path / "b" / "2.PNG", 0)
    _photo(tmp_path / "b" / "deep" / "1.jpeg", 1)
    _photo(tmp_path / "a.webp", 2)
    _photo(tmp_path / ".hidden" / "x.png", 3)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "phone.HEIC").touch()
    photoset = datasets["folder"].open(str(tmp_path), None)
    assert isinstance(photoset, PhotoSet)
    assert [photo.id for photo in photoset.photos] == ["a.webp", "b/2.PNG", "b/deep/1.jpeg"]
    assert [photo.stratum for photo in photoset.photos] == ["", "b", "b/deep"]
    assert photoset.name == f"folder:{tmp_path.name}"
    assert photoset.remarks == ("2 files are left out, they are no photographs of a known format: 1 .heic, 1 .txt",)
    assert photoset.depth_range is None
    for photo in photoset.photos:
        assert photoset.image(photo).shape == (HEIGHT, WIDTH, 3)
        assert photoset.depth(photo) is None
        assert photoset.pairs(photo) == ()
        assert photoset.labels_digest(photo) == ""


def test_a_content_counts_once_in_a_folder(tmp_path: Path) -> None:
    data = _photo(tmp_path / "a.png", 0).read_bytes()
    (tmp_path / "copy.png").write_bytes(data)
    photoset = datasets["folder"].open(str(tmp_path), None)
    assert [photo.id for photo in photoset.photos] == ["a.png"]
    assert "copy.png = a.png" in photoset.remarks[0]


def test_digests_are_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    path = _photo(tmp_path / "a.png", 0)
    photo = datasets["folder"].open(str(tmp_path), None).photos[0]
    assert photo.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_relative_folder_is_found_under_the_data_root(tmp_path: Path) -> None:
    _photo(tmp_path / "mine" / "a.png", 0)
    assert len(datasets["folder"].open("mine", tmp_path).photos) == 1


def test_an_empty_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CalibrationError, match="holds no photographs"):
        datasets["folder"].open(str(tmp_path), None)
    with pytest.raises(CalibrationError, match="is not a folder"):
        datasets["folder"].open(str(tmp_path / "notes.txt"), None)


def test_all_damaged_files_of_a_folder_are_named_at_once(tmp_path: Path) -> None:
    _photo(tmp_path / "good.png", 0)
    cut = _photo(tmp_path / "cut.jpg", 1, size=(200, 200))
    cut.write_bytes(cut.read_bytes()[:-4000])
    _photo(tmp_path / "tiny.png", 2, size=(8, 900))
    (tmp_path / "text.jpg").write_text("no image")
    frames = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    with pytest.raises(CalibrationError) as caught:
        datasets["folder"].open(str(tmp_path), None)
    for wanted in (
        "4 of the 5",
        "cut.jpg: it is cut short",
        "tiny.png: it has 900x8",
        "text.jpg",
        "moving.png: it is anim",
    ):
        assert wanted in caught.value.what
    assert "good.png" not in caught.value.what


def test_one_error_counts_all_and_names_ten(tmp_path: Path) -> None:
    _photo(tmp_path / "good.png", 0)
    for number in range(13):
        (tmp_path / f"bad{number:02}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(CalibrationError, match="13 of the 14") as caught:
        datasets["folder"].open(str(tmp_path), None)
    assert "bad09.jpg" in caught.value.what
    assert "bad10.jpg" not in caught.value.what
    assert "3 more" in caught.value.what


# pairs


def _annotated(tmp_path: Path, annotations: object) -> str:
    _photo(tmp_path / "rgb" / "a.jpg", 0)
    _photo(tmp_path / "rgb" / "b.jpg", 1)
    file = tmp_path / "pairs.json"
    file.write_text(json.dumps(annotations))
    return str(file)


def test_pairs_are_read_and_the_closer_point_is_honoured(tmp_path: Path) -> None:
    file = _annotated(
        tmp_path, {"rgb/b.jpg": [_pair([1, 2], [39, 63]), _pair([3, 4], [5, 6], "point2")], "rgb/a.jpg": []}
    )
    photoset = datasets["pairs"].open(file, None)
    assert [photo.id for photo in photoset.photos] == ["rgb/b.jpg", "rgb/a.jpg"]
    first, second = photoset.pairs(photoset.photos[0])
    assert (first.closer, first.farther) == ((1, 2), (39, 63))
    assert (second.closer, second.farther) == ((5, 6), (3, 4))
    assert photoset.pairs(photoset.photos[1]) == ()
    assert photoset.photos[0].stratum == "rgb"
    assert photoset.image(photoset.photos[0]).shape == (HEIGHT, WIDTH, 3)


def test_the_labels_digest_is_of_the_pairs_and_of_no_name(tmp_path: Path) -> None:
    def digests(annotations: object) -> list[str]:
        photoset = datasets["pairs"].open(_annotated(tmp_path, annotations), None)
        return [photoset.labels_digest(photo) for photo in photoset.photos]

    first = digests({"rgb/a.jpg": [_pair([1, 2], [3, 4])], "rgb/b.jpg": []})
    assert len(first[0]) == 64
    assert first[1] == ""
    assert digests({"rgb/a.jpg": [_pair([1, 2], [3, 4])], "rgb/b.jpg": []}) == first
    for edited in ([_pair([1, 2], [3, 5])], [_pair([1, 2], [3, 4], "point2")], [_pair([1, 2], [3, 4])] * 2):
        assert digests({"rgb/a.jpg": edited, "rgb/b.jpg": []})[0] != first[0]
    (tmp_path / "rgb" / "a.jpg").rename(tmp_path / "renamed.jpg")
    assert digests({"renamed.jpg": [_pair([1, 2], [3, 4])]}) == first[:1]


def test_names_may_begin_with_the_files_folder(tmp_path: Path) -> None:
    file = _annotated(tmp_path, {f"{tmp_path.name}/rgb/a.jpg": [_pair([1, 2], [3, 4])]})
    assert len(datasets["pairs"].open(file, None).photos) == 1


def test_points_outside_are_named(tmp_path: Path) -> None:
    file = _annotated(tmp_path, {"rgb/a.jpg": [_pair([1, 2], [40, 3]), _pair([1, 1], [1, 64])]})
    with pytest.raises(CalibrationError, match=r"2 points .*\n.*a\.jpg \(40 rows, 64 columns\): \[40, 3\]") as caught:
        datasets["pairs"].open(file, None)
    assert "exchanged" not in caught.value.remedy


def test_exchanged_rows_and_columns_are_recognised(tmp_path: Path) -> None:
    file = _annotated(tmp_path, {"rgb/a.jpg": [_pair([63, 39], [1, 2])], "rgb/b.jpg": [_pair([5, 5], [50, 2])]})
    with pytest.raises(CalibrationError) as caught:
        datasets["pairs"].open(file, None)
    assert "rows and columns exchanged" in caught.value.remedy


def test_bounds_are_those_of_the_upright_photograph(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = _annotated(tmp_path, {"rgb/a.jpg": [_pair([63, 39], [1, 2])]})
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(tmp_path / "rgb" / "a.jpg", exif=exif.tobytes())
    photoset = datasets["pairs"].open(file, None)
    assert photoset.image(photoset.photos[0]).shape == (WIDTH, HEIGHT, 3)


def test_missing_photographs_are_counted_and_named(tmp_path: Path) -> None:
    missing = {f"rgb/missing{number:02}.jpg": [_pair([1, 1], [2, 2])] for number in range(12)}
    file = _annotated(tmp_path, {"rgb/a.jpg": [_pair([1, 2], [3, 4])], **missing})
    with pytest.raises(CalibrationError, match=r"12 of the 13 .*\n.*missing00\.jpg") as caught:
        datasets["pairs"].open(file, None)
    assert "missing10" not in caught.value.what
    assert "2 more" in caught.value.what


@pytest.mark.parametrize(
    ("annotations", "match"),
    [
        ([], "no annotated images"),
        ({}, "no annotated images"),
        ({"rgb/a.jpg": {"point1": [1, 2]}}, "a list of pairs"),
        ({"rgb/a.jpg": ["x"]}, "an object is needed"),
        ({"rgb/a.jpg": [{"point1": [1, 2], "closer_point": "point1"}]}, "point2 is not"),
        ({"rgb/a.jpg": [_pair([1, 2], [1.5, 2])]}, "point2 is not"),  # type: ignore[list-item]
        ({"rgb/a.jpg": [_pair([1, 2, 3], [1, 2])]}, "point1 is not"),
        ({"rgb/a.jpg": [_pair([1, True], [1, 2])]}, "point1 is not"),
        ({"rgb/a.jpg": [_pair([1, 2], [1, 2])]}, "both points"),
        ({"rgb/a.jpg": [_pair([1, 2], [3, 4], "first")]}, "'first'"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, annotations: object, match: str) -> None:
    with pytest.raises(CalibrationError, match=match):
        datasets["pairs"].open(_annotated(tmp_path, annotations), None)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    for content in (b"{", b"\xff\xfe\x00", b""):
        file.write_bytes(content)
        with pytest.raises(CalibrationError, match="is not JSON"):
            datasets["pairs"].open(str(file), None)


# da2k


def _da2k(root: Path) -> Path:
    names = ["images/indoor/a.jpg", "images/indoor/b.jpg", "images/aerial/c.jpg"]
    for seed, name in enumerate(names):
        _photo(root / name, seed)
    annotations = {name: [_pair([1, 2], [30, 40])] for name in names}
    (root / "annotations.json").write_text(json.dumps(annotations))
    return root


def test_da2k_is_found_in_a_folder_its_parent_and_its_archive(tmp_path: Path) -> None:
    root = _da2k(tmp_path / "set" / "DA-2K")
    packed = tmp_path / "packed" / "DA-2K.zip"
    packed.parent.mkdir()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root.parent))
    found = [datasets["da2k"].open("", place) for place in (root, root.parent, packed, packed.parent)]
    for photoset in found:
        assert photoset.photos == found[0].photos
        assert [photo.stratum for photo in photoset.photos] == ["indoor", "indoor", "aerial"]
        assert "1,033 and 2,068" in photoset.remarks[0]
        assert photoset.pairs(photoset.photos[2])[0].farther == (30, 40)
        np.testing.assert_array_equal(photoset.image(photoset.photos[1]), found[0].image(found[0].photos[1]))


def test_da2k_that_is_incomplete_or_damaged_is_refused(tmp_path: Path) -> None:
    root = _da2k(tmp_path / "DA-2K")
    (root / "images" / "aerial" / "c.jpg").unlink()
    with pytest.raises(CalibrationError, match=r"1 of the 3 .*\n.*c\.jpg"):
        datasets["da2k"].open("", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match=r"annotations\.json"):
        datasets["da2k"].open("", tmp_path / "empty")
    packed = tmp_path / "locked" / "DA-2K.zip"
    packed.parent.mkdir()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("DA-2K/annotations.json", json.dumps({"a.jpg": [_pair([1, 2], [3, 4])]}))
        archive.writestr("DA-2K/a.jpg", b"")
        archive.getinfo("DA-2K/a.jpg").flag_bits |= 1  # encrypted, so the directory says
    with pytest.raises(CalibrationError, match=r"a\.jpg: it cannot be read: .*encrypted"):
        datasets["da2k"].open("", packed)
    (tmp_path / "empty" / "DA-2K.zip").write_bytes(b"cut")
    with pytest.raises(CalibrationError, match=r"DA-2K\.zip cannot be opened"):
        datasets["da2k"].open("", tmp_path / "empty")


def test_the_official_annotations_fit_the_official_sizes(tmp_path: Path) -> None:
    real = os.environ.get("DEPTHDEPLOY_TEST_DATA")
    if not real:
        pytest.skip("DEPTHDEPLOY_TEST_DATA is not set")
    source = Path(real, "da2k_format")
    for name, (width, height) in json.loads((source / "image_sizes_wh.json").read_text()).items():
        path = tmp_path / "DA-2K" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (width, height), len(list(path.parent.iterdir()))).save(path)
    (tmp_path / "DA-2K" / "annotations.json").write_bytes((source / "annotations.json").read_bytes())
    photoset = datasets["da2k"].open("", tmp_path)
    assert len(photoset.photos) == 15
    assert sum(len(photoset.pairs(photo)) for photo in photoset.photos) == 35
    assert {photo.stratum for photo in photoset.photos} >= {"indoor", "outdoor", "transparent_reflective"}


def test_real_photographs_and_pairs() -> None:
    real = os.environ.get("DEPTHDEPLOY_TEST_DATA")
    if not real:
        pytest.skip("DEPTHDEPLOY_TEST_DATA is not set")
    assert len(datasets["folder"].open(str(Path(real, "photos", "calib")), None).photos) == 256
    photoset = datasets["pairs"].open(str(Path(real, "depth", "pairs.json")), None)
    assert len(photoset.photos) == 53
    assert sum(len(photoset.pairs(photo)) for photo in photoset.photos) == 159
