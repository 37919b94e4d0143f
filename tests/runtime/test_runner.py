from __future__ import annotations

from pathlib import Path

import pytest

from depthdeploy.core import machine
from depthdeploy.core.model import CompiledArtifact
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.errors import ToolchainFailed, UsageError
from depthdeploy.registry import targets
from depthdeploy.runtime.runner import count_precisions, open_runner

SPEC = TensorSpec("image", "float32", (1, 3, 8, 8))


def artifact(folder: Path, variant: str) -> CompiledArtifact:
    return CompiledArtifact(folder, {}, "model.onnx", "onnxruntime", variant, "int8", SPEC, SPEC)


def test_processor_without_the_instructions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx2"}))
    with (
        pytest.raises(UsageError, match="cpu-vnni needs avx512_vnni or avx_vnni"),
        open_runner(artifact(tmp_path, "cpu-vnni"), targets["onnxruntime"], threads=1),
    ):
        pass


def test_file_that_the_runtime_refuses(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with (
        pytest.raises(ToolchainFailed, match=r"ONNX Runtime cannot open model\.onnx: .*INVALID_PROTOBUF"),
        open_runner(artifact(tmp_path, "cpu-avx2"), targets["onnxruntime"], threads=1),
    ):
        pass


def test_precisions_are_counted() -> None:
    profile = [("a", "Conv", "int8"), ("b", "Conv", "int8"), ("c", "Resize", "fp32"), ("d", "Reorder", "conversion")]
    assert count_precisions(profile) == {"conversion": 1, "fp32": 1, "int8": 2}
    assert count_precisions([]) == {}
