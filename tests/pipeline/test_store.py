"""Results are stored whole or not at all, and taken again only when nothing they depend on changed."""

import errno
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from depthdeploy.core.quant import Statistics, TensorRange
from depthdeploy.errors import StorageError
from depthdeploy.pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Product:
    file: Path
    values: tuple[float, ...]
    note: str | None = None


def _make(folder: Path, text: str = "weights") -> Product:
    path = folder / "model.onnx"
    path.write_text(text)
    return Product(path, (1.5, float("inf")))


def test_a_result_comes_back_with_paths_inside_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    made, cached = store.take("export", {"sha": "1"}, Product, _make)
    assert not cached
    assert made.file.read_text() == "weights"
    assert made.file.is_relative_to(tmp_path / "store" / "export")

    def unexpected(folder: Path) -> Product:
        raise AssertionError("computed again")

    again, cached = store.take("export", {"sha": "1"}, Product, unexpected)
    assert cached
    assert again == made


def test_another_dependency_is_another_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, _ = store.take("export", {"sha": "1"}, Product, _make)
    second, cached = store.take("export", {"sha": "2"}, Product, lambda folder: _make(folder, "other"))
    assert not cached
    assert (first.file.read_text(), second.file.read_text()) == ("weights", "other")


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    Store(tmp_path / "a").take("export", 1, Product, _make)
    (tmp_path / "a").rename(tmp_path / "b")
    made, cached = Store(tmp_path / "b").take("export", 1, Product, _make)
    assert cached
    assert made.file.read_text() == "weights"


def test_nested_mappings_of_frozen_values_survive(tmp_path: Path) -> None:
    statistics = Statistics("minmax", {"x": TensorRange("x", -1.0, 2.0, 3)}, 3, "ab")
    store = Store(tmp_path)
    store.take("calibrate", 1, Statistics, lambda _: statistics)
    again, cached = store.take("calibrate", 1, Statistics, lambda _: statistics)
    assert cached
    assert again == statistics


@pytest.mark.parametrize("failure", [ValueError("bad"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, failure: BaseException) -> None:
    store = Store(tmp_path)

    def breaks(folder: Path) -> Product:
        _make(folder)
        raise failure

    with pytest.raises(type(failure)):
        store.take("export", 1, Product, breaks)
    assert store.entries() == []
    assert list((tmp_path / "export").iterdir()) == []


def test_a_damaged_entry_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made, _ = store.take("export", 1, Product, _make)
    made.file.write_text("weig")
    again, cached = store.take("export", 1, Product, _make)
    assert not cached
    assert again.file.read_text() == "weights"


def test_an_unreadable_record_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made, _ = store.take("export", 1, Product, _make)
    (made.file.parent / "result.json").write_text("{")
    _, cached = store.take("export", 1, Product, _make)
    assert not cached


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    def fills(folder: Path) -> Product:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="No space is left") as caught:
        Store(tmp_path).take("export", 1, Product, fills)
    assert "--cache" in caught.value.remedy


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    def refuses(folder: Path) -> Product:
        raise PermissionError(errno.EACCES, "photo.jpg")

    with pytest.raises(PermissionError, match=r"photo\.jpg"):
        Store(tmp_path).take("export", 1, Product, refuses)


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StorageError, match="cannot be stored"):
        Store(tmp_path / "store").take("export", 1, Product, _make)


def test_list_and_clear(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made, _ = store.take("export", 1, Product, _make)
    record = made.file.parent / "result.json"
    (entry,) = store.entries()
    assert (entry.stage, entry.bytes) == ("export", len("weights") + record.stat().st_size)
    assert json.loads(record.read_text())["files"] == {"model.onnx": 7}
    assert store.clear() == entry.bytes
    assert store.entries() == []
