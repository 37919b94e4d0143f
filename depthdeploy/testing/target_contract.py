"""What every target must keep, as a pytest class: derive from ``TargetContract``, name the target, run pytest.

```python
from depthdeploy.testing.target_contract import TargetContract


class TestMine(TargetContract):
    target = "mine"
```
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from depthdeploy.core.digest import sha256_file
from depthdeploy.core.machine import runs_here
from depthdeploy.core.model import CompiledArtifact, LegalModel, QuantizedModel
from depthdeploy.core.target import Capabilities, Target
from depthdeploy.errors import ToolchainFailed, ToolchainMissing
from depthdeploy.graph.legalize import legalize
from depthdeploy.inference import OnnxSession
from depthdeploy.runtime.compiler import compile_artifact
from depthdeploy.runtime.job import OUT, CompileResult
from depthdeploy.runtime.runner import open_runner
from depthdeploy.runtime.toolchain import InProcess, Subprocess, Toolchain, collect
from depthdeploy.runtime.worker import run_job
from depthdeploy.testing.artifacts import images, quantize, sqnr_db, store
from depthdeploy.testing.graphs import residual_block
from depthdeploy.testing.light_contract import LightHalfContract

#: What the artifact's own kernels may lose against the exact emulation of its number formats.
GAP_DB = 0.5


@dataclass(frozen=True, slots=True)
class _Tampering:
    """A toolchain whose files are changed after the worker has written their digests."""

    def compile(self, folder: Path) -> CompileResult:
        run_job(folder)
        with next((folder / OUT).iterdir()).open("ab") as stream:
            stream.write(b"\0")
        return collect(folder)


class TargetContract(LightHalfContract):
    """The laws of both halves; those of the heavy half are skipped while a target has none."""

    @pytest.fixture
    def driven(self, able: Capabilities) -> Capabilities:
        """Its capabilities, where it has a heavy half; what compiles is skipped where it has none."""
        if not able.driver:
            pytest.skip(f"{able.target} has no driver yet")
        return able

    def test_driver_is_one_file_of_python_38(self, driven: Capabilities) -> None:
        """It runs inside the vendor's image: Python 3.8, the standard library, numpy and the SDK."""
        found = importlib.util.find_spec(driven.driver)
        assert found is not None
        assert found.origin is not None
        tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"), feature_version=(3, 8))
        imported: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
        foreign = {name for name in imported if name not in sys.stdlib_module_names} - {"numpy"}
        assert len(foreign) <= 1, "more than the SDK"
        assert not foreign & {"depthdeploy", driven.driver.split(".")[0]}

    def test_compiles_and_predicts(self, light: Target, driven: Capabilities, tmp_path: Path) -> None:
        """The float artifact computes what the graph computes."""
        legal = self._legal(light, tmp_path)
        artifact = self._compiled(self._float(light, legal), light, tmp_path)
        assert artifact.entry.endswith(driven.suffix(legal.variant))
        assert all(sha256_file(artifact.folder / name) == digest for name, digest in artifact.files.items())
        assert artifact.versions
        self._needs_this_machine(driven, legal.variant)
        exact = OnnxSession(legal.model.path, exact=True)
        with open_runner(artifact, light, threads=1) as runner:
            for image in images(legal.model, 2):
                expected = exact.predict(image)
                np.testing.assert_allclose(runner.predict(image), expected, atol=1e-4 * float(np.abs(expected).max()))
            profile = runner.profile(images(legal.model, 1)[0])
            assert profile
            assert {precision for _, _, precision in profile} <= {"fp32", "conversion"}
            assert runner.describe()

    def test_kernels_keep_what_quantization_kept(self, light: Target, driven: Capabilities, tmp_path: Path) -> None:
        """The artifact's own kernels lose at most ``GAP_DB`` against the exact emulation of its number formats."""
        for name in driven.variants:
            if "int8" not in driven.variants[name].schemes or not runs_here(driven, name):
                continue
            folder = tmp_path / name
            folder.mkdir()
            legal = self._legal(light, folder, name)
            quantized = quantize(legal, light, folder / "int8.onnx")
            artifact = self._compiled(quantized, light, folder)
            exact, emulated = OnnxSession(legal.model.path), OnnxSession(quantized.model.path, exact=True)
            with open_runner(artifact, light, threads=1) as runner:
                seen = images(legal.model, 4)
                gaps = [
                    sqnr_db(exact.predict(x), emulated.predict(x)) - sqnr_db(exact.predict(x), runner.predict(x))
                    for x in seen
                ]
                assert float(np.mean(gaps)) <= GAP_DB
                assert any(precision == "int8" for _, _, precision in runner.profile(seen[0]))

    @pytest.mark.usefixtures("driven")
    def test_same_bytes_in_another_process(self, light: Target, tmp_path: Path) -> None:
        """The job folder is enough, and the same graph gives the same bytes."""
        legal = self._legal(light, tmp_path)
        quantized = self._float(light, legal)
        here = self._compiled(quantized, light, tmp_path / "a")
        there = self._compiled(quantized, light, tmp_path / "b", Subprocess(Path(sys.executable)))
        assert here.files == there.files

    @pytest.mark.usefixtures("driven")
    def test_refused_graph_names_the_log(self, light: Target, tmp_path: Path) -> None:
        """A graph that the SDK cannot take ends in the SDK's own words and a log that exists."""
        legal = self._legal(light, tmp_path)
        broken = tmp_path / "broken.onnx"
        node = onnx.helper.make_node("NoSuchOperator", ["image"], ["depth"], domain="nowhere")
        ends = onnx.load(legal.model.path, load_external_data=False).graph
        graph = onnx.helper.make_graph([node], "broken", [ends.input[0]], [ends.output[0]])
        opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("nowhere", 1)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), broken)
        model = replace(legal.model, path=broken, sha256=sha256_file(broken))
        quantized = replace(self._float(light, legal), model=model)
        with pytest.raises(ToolchainFailed, match="log"):
            self._compiled(quantized, light, tmp_path)
        assert list((tmp_path / "jobs").glob("*/log.txt"))

    @pytest.mark.usefixtures("driven")
    def test_digests_are_recomputed(self, light: Target, tmp_path: Path) -> None:
        """Nobody's word is taken for what a file holds."""
        legal = self._legal(light, tmp_path)
        with pytest.raises(ToolchainFailed, match="not those of its result"):
            self._compiled(self._float(light, legal), light, tmp_path, _Tampering())

    def _legal(self, light: Target, folder: Path, variant: str = "") -> LegalModel:
        model = store(residual_block(), folder / "graph.onnx")
        return legalize(model, light, variant or next(iter(light.capabilities.variants)), folder / "legal.onnx")

    def _float(self, light: Target, legal: LegalModel) -> QuantizedModel:
        if "fp32" not in light.capabilities.variants[legal.variant].precisions:
            pytest.skip(f"{legal.target} has no float precision")
        return QuantizedModel(legal.model, legal, "fp32", None)

    def _compiled(
        self, quantized: QuantizedModel, light: Target, folder: Path, toolchain: Toolchain | None = None
    ) -> CompiledArtifact:
        artifact = folder / f"artifact-{quantized.precision}"
        artifact.mkdir(parents=True)
        try:
            return compile_artifact(
                quantized, light, folder=artifact, jobs=folder / "jobs", toolchain=toolchain or InProcess()
            )
        except ToolchainMissing as missing:
            pytest.skip(str(missing))

    def _needs_this_machine(self, able: Capabilities, variant: str) -> None:
        if not runs_here(able, variant):
            pytest.skip(f"this machine does not run {variant}")
