"""What calibrates and what evaluates is decided by counts, content and seed, and never overlaps."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from depthdeploy.core.photos import Selection
from depthdeploy.core.request import CompileRequest
from depthdeploy.errors import CalibrationError, UsageError
from depthdeploy.pipeline import target_stages
from depthdeploy.pipeline.photographs import Photographs, choose, labelled

SIDE = 32


def _folder(place: Path, numbers: Sequence[int], *, names: str = "{:04}.png") -> Path:
    """Photographs that differ where their numbers do."""
    place.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        pixels[0, 0] = (number // 256, number % 256, 7)
        Image.fromarray(pixels).save(place / names.format(number))
    return place


def _annotated(place: Path, count: int, *, without: int) -> Path:
    """Photographs of which the first have no pairs."""
    _folder(place, range(count))
    pair = {"point1": [1, 2], "point2": [3, 4], "closer_point": "point1"}
    content = {f"{number:04}.png": [pair] * (number >= without) for number in range(count)}
    (place / "pairs.json").write_text(json.dumps(content))
    return place / "pairs.json"


def _choose(calibration: str, *evaluations: str, **options: Any) -> Photographs:
    return choose(CompileRequest(targets=("onnxruntime",), calibration=calibration, evaluations=evaluations, **options))


def _sizes(photographs: Photographs) -> tuple[int, list[int]]:
    chosen = photographs.evaluations
    return len(photographs.calibration.selection.photos), [len(one.selection.photos) for one in chosen]


def _digests(selection: Selection) -> set[str]:
    return {photo.digest for photo in selection.photos}


def _disjoint(photographs: Photographs) -> bool:
    used = _digests(photographs.calibration.selection)
    return not any(used & _digests(chosen.selection) for chosen in photographs.evaluations)


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (2, (1, [1])),
        (3, (2, [1])),
        (30, (20, [10])),
        (192, (128, [64])),
        (200, (133, [64])),  # 67 are left over, 64 are scored
        (400, (256, [64])),  # two thirds would be 266
    ],
)
def test_defaults_without_labels(tmp_path: Path, count: int, wanted: tuple[int, list[int]]) -> None:
    found = _choose(f"folder:{_folder(tmp_path / 'photos', range(count))}")
    assert _sizes(found) == wanted
    assert _disjoint(found)
    assert found.leak == ""
    assert found.calibration.selection.available == count
    record = found.evaluations[0].record
    assert (record.dataset, record.purpose, record.images) == ("folder:photos", "evaluation", wanted[1][0])


def test_a_labelled_set_is_scored_whole(tmp_path: Path) -> None:
    found = _choose(f"pairs:{_annotated(tmp_path, 210, without=0)}")
    assert _sizes(found) == (140, [70])
    assert _sizes(_choose("sample:300")) == (200, [100])


def test_one_annotated_photograph_makes_a_set_labelled(tmp_path: Path) -> None:
    file = _annotated(tmp_path, 210, without=209)
    found = _choose(f"pairs:{file}")
    assert labelled(found.calibration.photoset)
    assert _sizes(found) == (140, [70])
    file.write_text(json.dumps({f"{number:04}.png": [] for number in range(210)}))
    found = _choose(f"pairs:{file}")
    assert not labelled(found.calibration.photoset)
    assert _sizes(found) == (140, [64])


def test_another_set_for_evaluation_leaves_all_to_calibration(tmp_path: Path) -> None:
    photos = f"folder:{_folder(tmp_path / 'photos', range(300))}"
    others = f"folder:{_folder(tmp_path / 'others', range(300, 400))}"
    assert _sizes(_choose(photos, others)) == (256, [100])
    assert _sizes(_choose(others, photos, "sample:5")) == (100, [300, 5])
    found = _choose(photos, others, calibration_count=10, evaluation_count=20)
    assert _sizes(found) == (10, [20])
    assert [chosen.photoset.name for chosen in found.evaluations] == ["folder:others"]
    assert found.evaluations[0].selection.available == 100


def test_one_set_named_for_both_is_split(tmp_path: Path) -> None:
    photos = f"folder:{_folder(tmp_path / 'photos', range(30))}"
    others = f"folder:{_folder(tmp_path / 'others', range(30, 36))}"
    found = _choose(photos, photos, others)
    assert _sizes(found) == (20, [10, 6])
    assert _disjoint(found)
    assert _choose(photos, photos).evaluations[0].selection == found.evaluations[0].selection


@pytest.mark.parametrize(
    ("calibration", "evaluation", "wanted"),
    [(4, None, (4, [26])), (None, 3, (20, [3])), (4, 5, (4, [5])), (29, 1, (29, [1]))],
)
def test_counts_of_one_set(
    tmp_path: Path, calibration: int | None, evaluation: int | None, wanted: tuple[int, list[int]]
) -> None:
    photos = f"folder:{_folder(tmp_path, range(30))}"
    found = _choose(photos, calibration_count=calibration, evaluation_count=evaluation)
    assert _sizes(found) == wanted
    assert _disjoint(found)


def test_more_than_there_are_is_an_error(tmp_path: Path) -> None:
    photos = f"folder:{_folder(tmp_path / 'photos', range(10))}"
    others = f"folder:{_folder(tmp_path / 'others', range(10, 20))}"
    with pytest.raises(CalibrationError, match=r"10 photographs .*calibration; 11 were asked for"):
        _choose(photos, calibration_count=11)
    with pytest.raises(CalibrationError, match=r"10 photographs .*calibration; 11 were asked for"):
        _choose(photos, others, calibration_count=11)
    with pytest.raises(CalibrationError, match=r"4 photographs .*evaluation .*; 5 were asked for"):
        _choose(photos, calibration_count=6, evaluation_count=5)
    with pytest.raises(CalibrationError, match=r"0 photographs .*evaluation .*; 1 were asked for"):
        _choose(photos, calibration_count=10, evaluation_count=1)
    with pytest.raises(CalibrationError, match=r"10 photographs .*evaluation; 12 were asked for"):
        _choose(photos, others, evaluation_count=12)
    with pytest.raises(UsageError):
        _choose("folder")


def test_a_photograph_under_another_name_is_found_by_its_content(tmp_path: Path) -> None:
    photos = _folder(tmp_path / "photos", range(10))
    others = _folder(tmp_path / "others", range(8, 14), names="copy-{}.png")
    with pytest.raises(CalibrationError) as caught:
        _choose(f"folder:{photos}", f"folder:{others}")
    assert "2 of the 6 evaluation photographs (folder:others) also calibrate (folder:photos)" in caught.value.what
    assert "copy-8.png (= 0008.png)" in caught.value.what
    assert "copy-9.png (= 0009.png)" in caught.value.what
    assert caught.value.remedy
    # One folder under two spellings is two sets that overlap.
    with pytest.raises(CalibrationError, match=re.escape("10 of the 10")):
        _choose(f"folder:{photos}", f"folder:{photos}/../photos")


@pytest.mark.parametrize("named", [True, False])
def test_all_for_calibration_scores_them_and_says_so(tmp_path: Path, named: bool) -> None:
    photos = f"folder:{_folder(tmp_path / 'photos', range(10))}"
    found = _choose(photos, *([photos] if named else []), calibration_count=10)
    assert _sizes(found) == (10, [10])
    assert found.leak.startswith("All 10 photographs of folder:photos calibrate")
    assert "optimistic" in found.leak
    assert found.calibration.record.purpose == "calibration"
    assert found.evaluations[0].record.purpose == "evaluation"
    assert found.evaluations[0].selection.photos == found.calibration.selection.photos


def test_all_for_calibration_beside_another_set_passes_over_neither(tmp_path: Path) -> None:
    photos = f"folder:{_folder(tmp_path / 'photos', range(10))}"
    found = _choose(photos, "sample:3", photos, calibration_count=10)
    assert _sizes(found) == (10, [10, 3])
    assert found.leak


def test_a_single_photograph_does_both(tmp_path: Path) -> None:
    found = _choose(f"folder:{_folder(tmp_path, range(1))}")
    assert _sizes(found) == (1, [1])
    assert found.leak


def test_what_is_available_is_counted_by_content(tmp_path: Path) -> None:
    file = _annotated(tmp_path, 9, without=0)
    content = json.loads(file.read_text())
    for number in range(9):  # each content under a second name
        (tmp_path / f"copy-{number}.png").write_bytes((tmp_path / f"{number:04}.png").read_bytes())
        content[f"copy-{number}.png"] = content[f"{number:04}.png"]
    file.write_text(json.dumps(content))
    found = _choose(f"pairs:{file}")
    assert _sizes(found) == (6, [3])
    assert found.calibration.selection.available == 9
    assert _disjoint(found)
    assert _sizes(_choose(f"pairs:{file}", "sample:3")) == (9, [3])
    assert _choose(f"pairs:{file}", calibration_count=9).leak


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    photos = f"folder:{_folder(tmp_path / 'photos', range(30))}"
    renamed = f"folder:{_folder(tmp_path / 'renamed', range(29, -1, -1), names='x{:02}.png')}"

    def chosen(spec: str, seed: int) -> tuple[set[str], set[str]]:
        found = _choose(spec, seed=seed)
        return _digests(found.calibration.selection), _digests(found.evaluations[0].selection)

    assert chosen(photos, 1) == chosen(photos, 1) == chosen(renamed, 1)
    assert chosen(photos, 1) != chosen(photos, 2)


class _Run:
    """Keeps what the stages' results depend on, and runs none."""

    def __init__(self) -> None:
        self.depends: list[str] = []

    def stage(self, name: str, kind: type, *, depends: object, **_: object) -> None:
        self.depends.append(repr(depends))


def _depends(photographs: Photographs, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the results of both scoring stages are stored under."""
    monkeypatch.setattr(target_stages, "runs_here", lambda *_: True)
    run: Any = _Run()
    model = SimpleNamespace(sha256="0", contract=None, depth=None, name="pico", meaning="0")
    network: Any = SimpleNamespace(exported=SimpleNamespace(model=model))
    quantized: Any = SimpleNamespace(model=model)
    artifact: Any = SimpleNamespace(files={})
    target = SimpleNamespace(capabilities=SimpleNamespace(sdk="onnxruntime"))
    goal: Any = SimpleNamespace(target=target, variant=SimpleNamespace(name="cpu"))
    target_stages.emulate(run, network, quantized, photographs)
    target_stages.evaluate(run, network, artifact, goal, photographs)
    return list(run.depends)


def test_stored_scores_depend_on_labels_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _annotated(tmp_path, 6, without=0)

    def depends(spec: str) -> list[str]:
        return _depends(_choose(spec, calibration_count=4), monkeypatch)

    first = depends(f"pairs:{file}")
    assert depends(f"pairs:{file}") == first
    file.write_text(file.read_text().replace('"point1"}', '"point2"}'))
    edited = depends(f"pairs:{file}")
    renamed = depends(f"pairs:{file.rename(tmp_path / 'renamed.json')}")
    for stage in zip(first, edited, renamed, strict=True):
        assert len(set(stage)) == 3
