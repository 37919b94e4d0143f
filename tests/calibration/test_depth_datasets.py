from __future__ import annotations

import builtins
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from depthdeploy.core.photos import DepthRange, PhotoSet
from depthdeploy.errors import CalibrationError, ToolchainMissing
from depthdeploy.registry import datasets
from depthdeploy_calibration.rgbd import open_rgbd

HEIGHT, WIDTH = 40, 64
LABELED = "nyu_depth_v2_labeled.mat"


def _saved(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _frames(root: Path, names: Sequence[str], *, photographs: str = "rgb", depths: str = "depth") -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        _saved(root / photographs / f"{name}.jpg", rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
        values = np.full((HEIGHT, WIDTH), 2560, np.uint16)
        values[0] = 0
        values[1] = 65535
        _saved(root / depths / f"{name}.png", values)
    return root


@pytest.mark.parametrize(("name", "per_metre", "crop"), [("nyuv2", 1000, "none"), ("kitti", 256, "garg")])
def test_folders_of_frames(tmp_path: Path, name: str, per_metre: int, crop: str) -> None:
    _frames(tmp_path / name, ["0001", "0000"])
    for place in (tmp_path, tmp_path / name):
        photoset = datasets[name].open("", place)
        assert isinstance(photoset, PhotoSet)
        assert [photo.id for photo in photoset.photos] == ["rgb/0000.jpg", "rgb/0001.jpg"]
        depth = photoset.depth(photoset.photos[0])
        assert depth is not None
        assert depth.dtype == np.float32
        assert depth[0, 0] == 0
        assert depth[1, 0] == pytest.approx(65535 / per_metre)
        assert depth[2, 0] == pytest.approx(2560 / per_metre)
        assert photoset.depth_range is not None
        assert photoset.depth_range.crop == crop
        assert photoset.image(photoset.photos[1]).shape == (HEIGHT, WIDTH, 3)
    assert datasets[name].open(str(tmp_path), None).photos == datasets[name].open("", tmp_path).photos


def test_frames_without_a_mate(tmp_path: Path) -> None:
    root = _frames(tmp_path, ["a", "b", "c"])
    (root / "rgb" / "a.jpg").unlink()
    assert "1 depth maps have no photograph" in datasets["kitti"].open("", root).remarks[0]
    (root / "depth" / "b.png").unlink()
    with pytest.raises(CalibrationError, match=r"1 of the 2 .*\n.*b\.jpg"):
        datasets["nyuv2"].open("", root)


def test_frames_that_differ_in_size_are_named(tmp_path: Path) -> None:
    root = _frames(tmp_path, ["a", "b"])
    _saved(root / "depth" / "b.png", np.ones((HEIGHT, WIDTH + 1), np.uint16))
    with pytest.raises(CalibrationError, match=r"b\.jpg: photograph 40x64, depth map 40x65"):
        datasets["kitti"].open("", root)


def test_a_depth_map_of_8_bits_is_refused(tmp_path: Path) -> None:
    root = _frames(tmp_path, ["a"])
    _saved(root / "depth" / "a.png", np.ones((HEIGHT, WIDTH), np.uint8))
    photoset = datasets["kitti"].open("", root)
    with pytest.raises(CalibrationError, match=r"a\.png is not a depth map"):
        photoset.depth(photoset.photos[0])


def _label(name: str, root: Path) -> str:
    photoset = datasets[name].open("", root)
    return photoset.labels_digest(photoset.photos[0])


def test_the_labels_digest_is_of_the_depth_map_its_unit_and_range(tmp_path: Path) -> None:
    root = _frames(tmp_path, ["a"])
    first = _label("kitti", root)
    assert len(first) == 64
    assert _label("kitti", root) == first
    scored = DepthRange(0.1, 10)
    others = [(1000, scored), (256, scored), (256, DepthRange(0.1, 9)), (256, DepthRange(0.1, 10, "garg"))]
    sets = [open_rgbd(root, name="x", per_metre=unit, scored=scored) for unit, scored in others]
    assert len({photoset.labels_digest(photoset.photos[0]) for photoset in sets}) == 4
    for folder, suffix in (("rgb", "jpg"), ("depth", "png")):
        (root / folder / f"a.{suffix}").rename(root / folder / f"renamed.{suffix}")
    assert _label("kitti", root) == first
    depth = np.full((HEIGHT, WIDTH), 2560, np.uint16)
    depth[5, 5] = 2561
    file = _saved(root / "depth" / "renamed.png", depth)
    assert _label("kitti", root) != first
    photoset = datasets["kitti"].open("", root)
    file.unlink()
    with pytest.raises(CalibrationError, match=r"renamed\.png cannot be read"):
        photoset.labels_digest(photoset.photos[0])


@pytest.mark.parametrize("name", ["nyuv2", "kitti"])
def test_an_empty_place_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CalibrationError, match="holds neither"):
        datasets[name].open("", tmp_path)
    (tmp_path / "rgb").mkdir()
    (tmp_path / "depth").mkdir()
    with pytest.raises(CalibrationError, match="holds no photographs"):
        datasets[name].open("", tmp_path)


# KITTI's official trees


def _official(root: Path, split: str, *, frames: int = 2) -> Path:
    drive = "2011_09_26_drive_0002_sync"
    for camera in ("image_02", "image_03"):
        _frames(
            root,
            [f"{number:010}" for number in range(5, 5 + frames)],
            photographs=f"2011_09_26/{drive}/{camera}/data",
            depths=f"{split}/{drive}/proj_depth/groundtruth/{camera}",
        )
    return root


@pytest.mark.parametrize("split", ["val", "train"])
def test_kitti_in_its_official_trees(tmp_path: Path, split: str) -> None:
    photoset = datasets["kitti"].open("", _official(tmp_path, split))
    assert len(photoset.photos) == 4
    first = photoset.photos[0]
    assert first.id == "2011_09_26_drive_0002_sync/image_02/0000000005"
    assert first.stratum == "2011_09_26_drive_0002_sync"
    depth = photoset.depth(first)
    assert depth is not None
    assert depth[2, 2] == 10
    assert split in photoset.remarks[0]


def test_kitti_without_some_or_all_raw_drives(tmp_path: Path) -> None:
    _official(tmp_path, "val")
    photographs = sorted(tmp_path.rglob("*.jpg"))
    photographs[0].unlink()
    assert "1 of 4 depth maps have no photograph" in datasets["kitti"].open("", tmp_path).remarks[1]
    for path in photographs[1:]:
        path.unlink()
    with pytest.raises(CalibrationError, match="none of their photographs"):
        datasets["kitti"].open("", tmp_path)


def _eigen_line(frame: int) -> str:
    name = f"2011_09_26_drive_0002_sync/image_02/data/{frame:010}.png"
    return f"2011_09_26/{name} 2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/{frame:010}.png 721.5"


def test_eigens_test_frames_where_their_list_is(tmp_path: Path) -> None:
    _official(tmp_path, "train", frames=4)
    (tmp_path / "eigen_test_files_with_gt.txt").write_text("\n".join(map(_eigen_line, (8, 6, 69))) + "\n\n")
    photoset = datasets["kitti"].open("", tmp_path)
    assert [photo.id[-1] for photo in photoset.photos] == ["8", "6"]
    assert "2 of the 3 frames" in photoset.remarks[0]
    assert photoset.depth_range is not None
    assert photoset.depth_range.crop == "garg"
    next(tmp_path.rglob("image_02/data/0000000006.jpg")).unlink()
    with pytest.raises(CalibrationError, match=r"1 of the 3 .*\n.*0000000006"):
        datasets["kitti"].open("", tmp_path)


@pytest.mark.parametrize("line", ["x", "a/b/c.png", "2011/drive/image_09/data/1.png"])
def test_a_list_of_another_form_is_refused(tmp_path: Path, line: str) -> None:
    _official(tmp_path, "val")
    (tmp_path / "eigen_test_files.txt").write_text(line)
    with pytest.raises(CalibrationError, match="has a line"):
        datasets["kitti"].open("", tmp_path)


def test_the_selected_validation_frames(tmp_path: Path) -> None:
    root = _frames(tmp_path / "frames", ["a"])
    folder = tmp_path / "set" / "depth_selection" / "val_selection_cropped"
    stem = "2011_09_26_drive_0002_sync_{}_0000000008_image_02.png"
    for kind, source in (("image", "rgb/a.jpg"), ("groundtruth_depth", "depth/a.png")):
        (folder / kind).mkdir(parents=True)
        Image.open(root / source).save(folder / kind / stem.format(kind))
    photoset = datasets["kitti"].open("", tmp_path / "set")
    assert [photo.stratum for photo in photoset.photos] == ["2011_09_26_drive_0002"]
    depth = photoset.depth(photoset.photos[0])
    assert depth is not None
    assert depth[2, 2] == 10
    assert photoset.depth_range is not None
    assert photoset.depth_range.crop == "none"
    (folder / "groundtruth_depth" / stem.format("groundtruth_depth")).unlink()
    with pytest.raises(CalibrationError, match="it is missing"):
        datasets["kitti"].open("", tmp_path / "set")


# The labelled file of NYU Depth v2


def _labeled(folder: Path, *, frames: int = 5, height: int = 480, width: int = 640) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = np.zeros((frames, 3, width, height), np.uint8)
    depths = np.zeros((frames, width, height), np.float32)
    for frame in range(frames):
        images[frame, 0, :, 0] = 200  # the first row is red
        images[frame, 2, 0, :] = 10 + frame
        depths[frame] = frame + np.arange(height)[None, :] / height
    with h5py.File(folder / LABELED, "w") as file:
        file["images"], file["depths"] = images, depths
    return folder / LABELED


def test_the_labelled_file_is_turned_upright(tmp_path: Path) -> None:
    _labeled(tmp_path / "nyu")
    for place in (tmp_path, tmp_path / "nyu", tmp_path / "nyu" / LABELED):
        photoset = datasets["nyuv2"].open("", place)
        assert [photo.id for photo in photoset.photos] == ["0001", "0002", "0003", "0004", "0005"]
        assert len({photo.digest for photo in photoset.photos}) == 5
        image = photoset.image(photoset.photos[2])
        assert image.shape == (480, 640, 3)
        assert image.dtype == np.uint8
        assert (image[0, :, 0] == 200).all()
        assert (image[1:, :, 0] == 0).all()
        assert (image[:, 0, 2] == 12).all()
        depth = photoset.depth(photoset.photos[2])
        assert depth is not None
        assert depth.shape == (480, 640)
        assert depth[0, 5] == 2
        assert depth[240, 5] == 2.5
        assert photoset.pairs(photoset.photos[0]) == ()
        assert photoset.depth_range is not None
        assert photoset.depth_range.crop == "eigen-nyu"
        assert any("all frames" in remark for remark in photoset.remarks)
        assert any("1,449" in remark for remark in photoset.remarks)


@pytest.mark.parametrize("kind", ["splits.json", "splits.txt", "splits.mat"])
def test_the_official_split_is_taken_where_it_lies_beside(tmp_path: Path, kind: str) -> None:
    _labeled(tmp_path)
    match kind:
        case "splits.json":
            (tmp_path / kind).write_text(json.dumps({"testNdxs": [4, 2]}))
        case "splits.txt":
            (tmp_path / kind).write_text("4\n2\n")
        case _:
            pytest.importorskip("scipy.io").savemat(tmp_path / kind, {"testNdxs": np.array([[4], [2]])})
    photoset = datasets["nyuv2"].open("", tmp_path)
    assert [photo.id for photo in photoset.photos] == ["0002", "0004"]
    assert "2 test frames, the official split has 654" in photoset.remarks


@pytest.mark.parametrize("numbers", [[0, 1], [6], [], [1, 1], ["x"], {"other": [1]}, 5])
def test_a_split_that_does_not_fit_is_refused(tmp_path: Path, numbers: object) -> None:
    _labeled(tmp_path)
    (tmp_path / "splits.json").write_text(json.dumps(numbers))
    with pytest.raises(CalibrationError, match=r"splits\.json"):
        datasets["nyuv2"].open("", tmp_path)


def test_other_sizes_have_no_crop(tmp_path: Path) -> None:
    _labeled(tmp_path, height=60, width=80)
    photoset = datasets["nyuv2"].open("", tmp_path)
    assert photoset.depth_range is not None
    assert photoset.depth_range.crop == "none"
    assert any("60x80" in remark for remark in photoset.remarks)


def test_another_content_of_the_file_has_other_digests(tmp_path: Path) -> None:
    found = []
    for frames in (2, 3):
        _labeled(tmp_path / str(frames), frames=frames, height=60, width=80)
        photoset = datasets["nyuv2"].open("", tmp_path / str(frames))
        found.append({photo.digest for photo in photoset.photos} | set(map(photoset.labels_digest, photoset.photos)))
    assert [len(digests) for digests in found] == [4, 6]
    assert not found[0] & found[1]


def test_a_labelled_file_cut_short_or_of_another_form(tmp_path: Path) -> None:
    file = _labeled(tmp_path, height=60, width=80)
    file.write_bytes(file.read_bytes()[:-20000])
    with pytest.raises(CalibrationError, match="cannot be read"):
        datasets["nyuv2"].open("", tmp_path)
    with h5py.File(file, "w") as content:
        content["images"] = np.zeros((2, 60, 80, 3), np.uint8)
    with pytest.raises(CalibrationError, match="is not the labelled file"):
        datasets["nyuv2"].open("", tmp_path)


def _refuse(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    real = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, globals, locals, fromlist or (), level)

    monkeypatch.setattr(builtins, "__import__", without)


def test_without_h5py_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _labeled(tmp_path, height=60, width=80)
    _refuse(monkeypatch, "h5py")
    with pytest.raises(ToolchainMissing, match=r"pip install .depthdeploy\[nyuv2\]"):
        datasets["nyuv2"].open("", tmp_path)


def test_without_scipy_all_frames_are_used_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _labeled(tmp_path, height=60, width=80)
    (tmp_path / "splits.mat").write_bytes(b"never read")
    _refuse(monkeypatch, "scipy")
    photoset = datasets["nyuv2"].open("", tmp_path)
    assert len(photoset.photos) == 5
    assert any("scipy" in remark for remark in photoset.remarks)


@pytest.mark.parametrize(
    ("name", "folder", "frames"),
    [("nyuv2", "nyu", 3), ("nyuv2", "7scenes", 40), ("nyuv2", "open3d", 5), ("kitti", "kitti", 5)],
)
def test_real_frames(name: str, folder: str, frames: int) -> None:
    real = os.environ.get("DEPTHDEPLOY_TEST_DATA")
    if not real:
        pytest.skip("DEPTHDEPLOY_TEST_DATA is not set")
    photoset = datasets[name].open(str(Path(real, "depth", folder)), None)
    assert len(photoset.photos) == frames
    depth = photoset.depth(photoset.photos[0])
    assert depth is not None
    assert depth.shape == photoset.image(photoset.photos[0]).shape[:2]
    # Rooms are metres across, streets tens of metres.
    assert 1 < float(np.median(depth[depth > 0])) < (6 if name == "nyuv2" else 40)
