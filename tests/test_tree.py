"""The house keeps its shape."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTENT = ("targets", "models", "calibration", "tests", "docker", "benchmarks")
PACKAGES = [
    ROOT / "depthdeploy",
    ROOT / "models/depthdeploy_models",
    ROOT / "calibration/depthdeploy_calibration",
    *sorted((ROOT / "targets").glob("*/depthdeploy_*")),
]
SDKS = {"openvino", "nncf", "tensorrt", "hailo_sdk_client", "rknn"}


def _sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]


@pytest.mark.parametrize("folder", CONTENT)
def test_content_folders_are_no_packages(folder: str) -> None:
    inits = [ROOT / folder / "__init__.py", *(ROOT / "targets").glob("*/__init__.py")]
    assert [path for path in inits if path.exists()] == []


def test_every_root_is_typed() -> None:
    assert [package for package in PACKAGES if not (package / "py.typed").exists()] == []


def _imports(path: Path) -> set[str]:
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            roots.add(node.module.partition(".")[0])
    return roots


def test_only_drivers_import_an_sdk() -> None:
    strangers = {path: _imports(path) & SDKS for path in _sources() if path.name != "driver.py"}
    assert {str(path.relative_to(ROOT)): found for path, found in strangers.items() if found} == {}


def test_files_stay_small() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _sources()}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_no_promises_in_the_sources() -> None:
    promise = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [str(path.relative_to(ROOT)) for path in _sources() if promise.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_nothing_of_other_peoples_data_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    heavy = {".pt", ".pth", ".tflite", ".mat", ".zip", ".jpg", ".jpeg"}
    names = [Path(name) for name in listed.stdout.splitlines()]
    assert [str(name) for name in names if name.suffix.lower() in heavy] == []
    weights = [name for name in names if name.suffix in {".onnx", ".safetensors"}]
    assert {str(name) for name in weights if "pico" not in name.parts} == set()
