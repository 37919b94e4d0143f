"""The memory curve: photographs that differ, read one by one, and rows that are read as they were written."""

from pathlib import Path

import numpy as np
import pytest
from memory import counts
from peers.common import Task
from peers.streamed import Streamed
from quantizers.memory_rows import MemoryRow, read_memory, write_memory
from quantizers.rows import UsageError
from quantizers.variations import main, photographs


def originals(count: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(count, 3, 12, 16)).astype(np.float32)


def test_variations_differ_and_are_the_same_for_a_seed(tmp_path: Path) -> None:
    given = originals()
    np.save(tmp_path / "few.npy", given)
    main(str(tmp_path / "few.npy"), "10", "7", str(tmp_path / "many.npy"))
    many = np.load(tmp_path / "many.npy")
    assert many.shape == (10, 3, 12, 16)
    assert many.dtype == np.float32
    assert np.array_equal(many[:3], given)
    assert len({one.tobytes() for one in many}) == 10
    assert np.array_equal(many, np.stack(list(photographs(given, 10, 7))))
    assert not np.array_equal(many[3:], np.stack(list(photographs(given, 10, 8)))[3:])
    assert not (tmp_path / "many.npy.part").exists()


def test_a_crop_stays_within_the_range_of_its_photograph() -> None:
    given = originals(1)
    for made in photographs(given, 12, 0):
        assert made.min() >= given.min() - 1e-5
        assert made.max() <= given.max() + 1e-5


def test_streamed_photographs_are_those_of_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "photographs.npy", originals(5))
    mapped = np.load(tmp_path / "photographs.npy", mmap_mode="r")[:3]
    wanted = list(Task(tmp_path, mapped, tmp_path, "fast").batches())
    found = list(Streamed(tmp_path, mapped, tmp_path, "fast").batches())
    assert len(found) == 3
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_only_photographs_in_a_file_are_streamed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"\.npy file"):
        next(Streamed(tmp_path, originals(), tmp_path, "fast").batches())


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "memory.json"
    rows = (MemoryRow("net", "fast", 16, "1", "s", 2.5, 300.0), MemoryRow("net", "fast", 64, error="it failed"))
    assert read_memory(path) == ()
    write_memory(path, rows, "a machine")
    assert read_memory(path) == rows
    path.write_text('{"rows": [{"network": "net"}]}')
    with pytest.raises(UsageError, match=r"memory\.json holds no rows"):
        read_memory(path)


def test_counts_ascend_and_are_positive() -> None:
    assert counts("64,16,64") == (16, 64)
    for wrong in ("0,16", "many", ""):
        with pytest.raises(ValueError, match=r".*"):
            counts(wrong)
