"""The shelf of steps: what is stored, where learning works, and two runs that do the same step at once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from depthdeploy.pipeline.shelf import StoredSteps, clear_working_folders, working_folders
from depthdeploy.pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Result:
    path: Path


@pytest.fixture(name="shelf")
def _shelf(tmp_path: Path) -> StoredSteps:
    return StoredSteps(Store(tmp_path / "stages"))


def _write(folder: Path) -> Result:
    path = folder / "graph.bin"
    path.write_bytes(b"graph")
    return Result(path)


def test_a_result_is_made_once(shelf: StoredSteps) -> None:
    made: list[Path] = []

    def make(folder: Path, work: Path) -> Result:
        assert folder == work
        made.append(folder)
        return _write(folder)

    first = shelf.take("step", Result, make, timed=False)
    assert shelf.take("step", Result, make, timed=False) == first
    assert len(made) == 1
    assert first.path.read_bytes() == b"graph"


def test_learning_works_in_a_folder_of_its_own_that_is_the_same_every_time(shelf: StoredSteps, tmp_path: Path) -> None:
    seen: list[Path] = []

    def interrupted(folder: Path, work: Path) -> Result:
        (work / "layer-1").write_bytes(b"learned")
        seen.append(work)
        raise KeyboardInterrupt

    def whole(folder: Path, work: Path) -> Result:
        assert (work / "layer-1").read_bytes() == b"learned"
        seen.append(work)
        return _write(folder)

    with pytest.raises(KeyboardInterrupt):
        shelf.take("step", Result, interrupted, timed=True)
    assert shelf.take("step", Result, whole, timed=True).path.exists()
    assert seen[0] == seen[1]
    assert seen[0].parent == working_folders(tmp_path)
    assert not seen[0].exists()


def test_of_two_runs_at_once_one_has_the_folder(shelf: StoredSteps) -> None:
    pytest.importorskip("fcntl")
    places: dict[str, tuple[Path, Path]] = {}

    def second(folder: Path, work: Path) -> Result:
        places["second"] = (folder, work)
        return _write(folder)

    def first(folder: Path, work: Path) -> Result:
        places["first"] = (folder, work)
        shelf.take("step", Result, second, timed=True)
        assert work.exists()  # the run that does not have it leaves it alone
        return _write(folder)

    assert shelf.take("step", Result, first, timed=True).path.read_bytes() == b"graph"
    assert places["first"][0] != places["first"][1]
    assert places["second"][0] == places["second"][1]


def test_a_budget_belongs_to_what_learns(shelf: StoredSteps) -> None:
    hurried = StoredSteps(shelf.store, budget=60.0)
    for timed, wanted in ((False, 1), (True, 2)):
        paths = {
            one.take("step", Result, lambda folder, _: _write(folder), timed=timed).path for one in (shelf, hurried)
        }
        assert len(paths) == wanted


def test_clearing_counts_bytes(shelf: StoredSteps, tmp_path: Path) -> None:
    assert clear_working_folders(tmp_path) == 0

    def interrupted(folder: Path, work: Path) -> Result:
        (work / "layer-1").write_bytes(bytes(1000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shelf.take("step", Result, interrupted, timed=True)
    assert clear_working_folders(tmp_path) == 1000
    assert not working_folders(tmp_path).exists()
