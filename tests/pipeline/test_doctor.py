"""What the doctor sees."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from depthdeploy.pipeline import doctor


def test_a_healthy_machine(tmp_path: Path) -> None:
    checks = {check.name: check for check in doctor.examine(tmp_path / "not" / "yet" / "there")}
    assert checks["depthdeploy"].status == "ok"
    assert checks["target onnxruntime"].status == "ok"
    assert not (tmp_path / "not").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    (check,) = (check for check in doctor.examine(tmp_path) if check.name == "cache")
    assert check.status == "bad"
    assert "--cache" in check.remedy


def test_what_is_missing_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> str:
        if package in ("torch", "openvino"):
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(doctor, "version", absent)
    checks = {check.name: check for check in doctor.examine(tmp_path)}
    assert checks["torch"].status == "missing"
    assert "depthdeploy[export]" in checks["torch"].remedy
    assert checks["target openvino"].status == "missing"
    assert "depthdeploy[openvino]" in checks["target openvino"].remedy
