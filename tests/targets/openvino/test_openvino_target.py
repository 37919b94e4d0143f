"""OpenVINO as a target, beyond the contract: its reader's own ideas, saturation, precision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depthdeploy.core.machine import runs_here
from depthdeploy.core.model import CompiledArtifact, QuantizedModel
from depthdeploy.errors import UnsupportedGraph
from depthdeploy.graph.legalize import legalize
from depthdeploy.inference import OnnxSession
from depthdeploy.registry import targets
from depthdeploy.runtime.compiler import compile_artifact
from depthdeploy.runtime.runner import open_runner
from depthdeploy.testing.artifacts import images, quantize, sqnr_db, store
from depthdeploy.testing.graphs import build, residual_block

pytest.importorskip("openvino")

TARGET = targets["openvino"]


def compiled(tmp_path: Path, variant: str, precision: str) -> tuple[QuantizedModel, CompiledArtifact]:
    legal = legalize(store(residual_block(), tmp_path / "graph.onnx"), TARGET, variant, tmp_path / "legal.onnx")
    quantized = QuantizedModel(legal.model, legal, precision, None)
    if precision == "int8":
        quantized = quantize(legal, TARGET, tmp_path / "int8.onnx")
    out = tmp_path / precision
    out.mkdir()
    return quantized, compile_artifact(quantized, TARGET, folder=out, jobs=tmp_path / "jobs")


RESIZE = """tiny (float[1,3,8,8] image) => (float[1,3,4,4] depth)
    <int64[2] sizes = {{4, 4}}> {{ depth = Resize <mode="{mode}", axes=[2, 3], {attribute}> (image, , , sizes) }}"""


@pytest.mark.parametrize(
    ("mode", "attribute"),
    [("linear", "antialias=1"), ("cubic", "exclude_outside=1"), ("linear", 'keep_aspect_ratio_policy="not_larger"'),
     ("linear", 'coordinate_transformation_mode="half_pixel_symmetric"')],
)  # fmt: skip
def test_resizes_that_it_would_compute_otherwise_are_refused(tmp_path: Path, mode: str, attribute: str) -> None:
    text = RESIZE.format(mode=mode, attribute=attribute)
    model = store(build(text, opset=19), tmp_path / "resize.onnx")
    with pytest.raises(UnsupportedGraph, match=attribute.split("=", maxsplit=1)[0]):
        legalize(model, TARGET, "cpu-avx2", tmp_path / "legal.onnx")


def test_the_reason_still_holds(tmp_path: Path) -> None:
    """OpenVINO ignores ``antialias``: when this fails, the rule can go."""
    model = store(build(RESIZE.format(mode="linear", attribute="antialias=1")), tmp_path / "resize.onnx")
    plain = legalize(
        store(build(RESIZE.format(mode="linear", attribute="antialias=0")), tmp_path / "plain.onnx"),
        TARGET, "cpu-avx2", tmp_path / "legal.onnx",
    )  # fmt: skip
    artifact = compile_artifact(
        QuantizedModel(model, plain, "fp32", None), TARGET, folder=tmp_path, jobs=tmp_path / "jobs"
    )
    image = np.random.default_rng(0).uniform(0, 1, model.input.shape).astype(np.float32)
    with open_runner(artifact, TARGET, threads=1) as runner:
        ours = runner.predict(image)
    np.testing.assert_allclose(ours, OnnxSession(plain.model.path).predict(image), atol=1e-5)
    assert np.abs(ours - OnnxSession(model.path).predict(image)).max() > 0.01


def test_half_precision_halves_the_weights_and_computes_in_float32(tmp_path: Path) -> None:
    quantized, half = compiled(tmp_path, "cpu-avx2", "fp16")
    _, whole = compiled(tmp_path, "cpu-avx2", "fp32")
    sizes = [(one.folder / "model.bin").stat().st_size for one in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    image = images(quantized.model, 1)[0]
    with open_runner(half, TARGET, threads=1) as runner:
        assert sqnr_db(OnnxSession(quantized.model.path).predict(image), runner.predict(image)) > 55
        assert {precision for _, _, precision in runner.profile(image)} <= {"fp32", "conversion"}


def test_artifact_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    _, artifact = compiled(tmp_path, "cpu-avx2", "fp32")
    text = (artifact.folder / "model.xml").read_text()
    assert str(tmp_path) not in text
    assert "conversion_parameters" not in text


def test_threads_are_those_that_were_asked_for(tmp_path: Path) -> None:
    _, artifact = compiled(tmp_path, "cpu-avx2", "fp32")
    with open_runner(artifact, TARGET, threads=1) as runner:
        assert "CPU, 1 threads" in runner.describe()


@pytest.mark.parametrize("variant", ["cpu-vnni", "cpu-avx2"])
def test_avx2_kernels(variant: str, tmp_path: Path) -> None:
    """On AVX2, 8-bit weights lose what quantization did not; 7-bit weights lose nothing."""
    if sys.platform != "linux" or not runs_here(TARGET.capabilities, "cpu-vnni"):
        pytest.skip("needs a processor with VNNI, of which AVX2 is then asked")
    quantized, artifact = compiled(tmp_path, variant, "int8")
    seen = images(quantized.model, 4)
    np.save(tmp_path / "images.npy", np.stack(seen))
    code = f"""
import json, numpy as np
from depthdeploy_openvino import driver
runner = driver.open_runner({str(artifact.folder / artifact.entry)!r}, {{"threads": 1}})
images = np.load({str(tmp_path / "images.npy")!r})
np.save({str(tmp_path / "predictions.npy")!r}, np.stack([runner.predict(image) for image in images]))
"""
    # oneDNN, OpenVINO's kernel library, reads which instructions it may use once, when it is loaded
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    predictions = np.load(tmp_path / "predictions.npy")
    exact, emulated = OnnxSession(quantized.legal.model.path), OnnxSession(quantized.model.path, exact=True)
    gaps = [
        sqnr_db(exact.predict(image), emulated.predict(image)) - sqnr_db(exact.predict(image), prediction)
        for image, prediction in zip(seen, predictions, strict=True)
    ]
    print(json.dumps(gaps))  # noqa: T201
    if variant == "cpu-avx2":
        assert np.mean(gaps) < 0.5
    else:
        assert np.mean(gaps) > 0.5
