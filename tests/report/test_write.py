"""A report's files: whole or not there, and read back as they were written."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from depthdeploy.core.gallery import GalleryItem
from depthdeploy.core.report import Report
from depthdeploy.errors import StorageError, UsageError
from depthdeploy.report.json import load_report, report_json
from depthdeploy.report.write import write_report


def test_the_files_and_what_they_name(report: Report, gallery: tuple[GalleryItem, ...], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    written = write_report(report, gallery, folder)
    assert [path.relative_to(folder).as_posix() for path in written] == [
        "maps/00-indoor-a.png", "maps/01-tr-s-l-ng-name.png", "charts/sensitivity.png", "charts/pareto.png",
        "sensitivity.csv", "report.json", "report.md",
    ]  # fmt: skip
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(written)
    text = (folder / "report.md").read_text("utf-8")
    assert "(<maps/00-indoor-a.png>)" in text
    assert load_report(folder / "report.json") == report


def test_pictures_of_an_earlier_report_go_and_foreign_files_stay(
    report: Report, gallery: tuple[GalleryItem, ...], tmp_path: Path
) -> None:
    write_report(report, gallery, tmp_path)
    (tmp_path / "maps" / "mine.png").write_bytes(b"")
    write_report(report, gallery[:1], tmp_path)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["00-indoor-a.png", "mine.png"]


def test_a_full_disk_leaves_the_old_report_whole(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(report, (), tmp_path)
    before = (tmp_path / "report.json").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(replace(report, version="9"), (), tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["charts", "report.json", "report.md", "sensitivity.csv"]


def test_a_folder_that_is_a_file(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match="cannot be written to"):
        write_report(report, (), tmp_path / "out")


def test_reading_needs_a_report_of_this_schema(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(UsageError, match="cannot be read"):
        load_report(path)
    whole = json.loads(report_json(report))
    faults = [
        ("{", "is not JSON"),
        ("[]", "names no schema version"),
        (json.dumps({**whole, "schema": "2.0"}), "schema version 2.0; this depthdeploy reads 1.2"),
        (json.dumps({**whole, "colour": 1}), "colour"),
        (json.dumps({**whole, "network": {**whole["network"], "opset": "x"}}), "network.opset"),
        (json.dumps({key: value for key, value in whole.items() if key != "target"}), "target"),
    ]
    for text, message in faults:
        path.write_text(text, "utf-8")
        with pytest.raises(UsageError, match=message):
            load_report(path)
