"""ONNX Runtime as a target, beyond the contract: what its number formats and kernels do, and a real network."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from depthdeploy.core.grid import Grid
from depthdeploy.core.model import QuantizedModel
from depthdeploy.graph.legalize import legalize
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.registry import targets
from depthdeploy.runtime.compiler import compile_artifact
from depthdeploy.runtime.runner import count_precisions, open_runner
from depthdeploy.testing.artifacts import images, quantize, sqnr_db, store
from depthdeploy.testing.graphs import depthwise_block, residual_block

TARGET = targets["onnxruntime"]
INT16_MAX = 2**15 - 1


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_pairs_of_products_fit_16_bits_without_vnni(name: str) -> None:
    """The reason of the variant ``cpu-avx2``."""
    variants = targets[name].capabilities.variants
    scheme = variants["cpu-avx2"].schemes["int8"]
    assert scheme.activations.qmax * max(-scheme.weights.qmin, scheme.weights.qmax) * 2 <= INT16_MAX
    assert scheme.weights.dtype == "int8"
    assert not variants["cpu-avx2"].cpu_flags
    wide = variants["cpu-vnni"].schemes["int8"]
    assert wide.activations.qmax * wide.weights.qmax * 2 > INT16_MAX
    assert variants["cpu-vnni"].cpu_flags


def test_both_cpu_targets_share_formats_and_operators() -> None:
    """So that one quantized graph, and one emulation, serves both."""
    ours, theirs = (targets[name].capabilities.variants for name in ("onnxruntime", "openvino"))
    for variant in ("cpu-vnni", "cpu-avx2"):
        one, other = ours[variant].schemes["int8"], theirs[variant].schemes["int8"]
        assert (one.weights, one.activations, one.operators) == (other.weights, other.activations, other.operators)


def test_both_cpu_targets_keep_the_graph_as_it_is(tmp_path: Path) -> None:
    """So that one calibration serves both."""
    model = store(residual_block(), tmp_path / "graph.onnx")
    legal = {legalize(model, targets[name], "cpu-avx2", tmp_path / name).model for name in ("onnxruntime", "openvino")}
    assert legal == {model}


def test_seven_bit_weights_are_stored_in_bytes() -> None:
    scheme = TARGET.capabilities.variants["cpu-avx2"].schemes["int8"]
    grid = Grid((0.1,), (0,), scheme.weights, axis=0)
    stored = grid.quantize(np.array([[-100.0, 100.0, 0.0]], np.float32))
    assert stored.dtype == np.int8
    assert stored.tolist() == [[-63, 63, 0]]


@pytest.mark.parametrize("graph", [residual_block, depthwise_block])
def test_unsigned_weights_hold_the_values_of_signed_ones(graph: object, tmp_path: Path) -> None:
    """Zero point 128 instead of 0: the same function, on integer kernels that cannot saturate on AVX2."""
    assert callable(graph)
    legal = legalize(store(graph(), tmp_path / "graph.onnx"), TARGET, "cpu-vnni", tmp_path / "legal.onnx")
    signed = TARGET.capabilities.variants["cpu-vnni"].schemes["int8"]
    unsigned = replace(signed, weights=replace(signed.weights, signed=False))
    seen = images(legal.model, 4)
    statistics = observe(legal.model, seen, observer=MinMax(), calibration_digest="", images=len(seen))
    made = {}
    for name, scheme in (("int8", signed), ("uint8", unsigned)):
        quantized = apply_plan(legal, make_plan(legal.model, statistics, scheme), tmp_path / name / "model.onnx")
        stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(quantized.model.path).graph.initializer}
        weights = [value for key, value in stored.items() if key.endswith("_quantized") and value.ndim == 4]
        assert {weight.dtype for weight in weights} == {np.dtype(name)}
        artifact = compile_artifact(quantized, TARGET, folder=tmp_path / name, jobs=tmp_path / "jobs")
        with open_runner(artifact, TARGET, threads=1) as runner:
            profile = runner.profile(seen[0])
            kernels = sorted(operator for _, operator, precision in profile if precision == "int8")
        assert "QLinearConv" in kernels
        made[name] = kernels, OnnxSession(quantized.model.path, exact=True).predict(seen[0])
    assert made["int8"][0] == made["uint8"][0]
    np.testing.assert_array_equal(made["int8"][1], made["uint8"][1])


@pytest.mark.parametrize("graph", [residual_block, depthwise_block])
def test_int8_graph_runs_on_integer_kernels(graph: object, tmp_path: Path) -> None:
    assert callable(graph)
    legal = legalize(store(graph(), tmp_path / "graph.onnx"), TARGET, "cpu-avx2", tmp_path / "legal.onnx")
    quantized = quantize(legal, TARGET, tmp_path / "int8.onnx")
    artifact = compile_artifact(quantized, TARGET, folder=tmp_path, jobs=tmp_path / "jobs")
    assert not list((tmp_path / "jobs").iterdir()), "the job folder of a success is removed"
    assert artifact.size < 2 * quantized.model.path.stat().st_size
    with open_runner(artifact, TARGET, threads=1) as runner:
        profile = runner.profile(images(legal.model, 1)[0])
    assert any(operator == "QLinearConv" and precision == "int8" for _, operator, precision in profile)
    assert count_precisions(profile)["int8"] >= 2


def test_external_data_comes_along(tmp_path: Path) -> None:
    model = residual_block()
    path = tmp_path / "graph.onnx"
    onnx.save(model, path, save_as_external_data=True, location="graph.bin", size_threshold=0)
    plain = store(residual_block(), tmp_path / "plain.onnx")
    legal = legalize(plain, TARGET, "cpu-avx2", tmp_path / "legal.onnx")
    external = QuantizedModel(replace(plain, path=path), legal, "fp32", None)
    out = tmp_path / "out"
    out.mkdir()
    artifact = compile_artifact(external, TARGET, folder=out, jobs=tmp_path / "jobs")
    assert set(artifact.files) == {"model.onnx", "graph.bin", "contract.json"}
    image = images(plain, 1)[0]
    with open_runner(artifact, TARGET, threads=1) as runner:
        np.testing.assert_allclose(runner.predict(image), OnnxSession(plain.path).predict(image), rtol=1e-5)


@pytest.mark.skipif("DEPTHDEPLOY_TEST_DATA" not in os.environ, reason="DEPTHDEPLOY_TEST_DATA names no real data")
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_fastdepth(name: str, tmp_path: Path) -> None:
    """A real network: the float artifact is exact, the int8 artifact keeps what the emulation says."""
    target = targets[name]
    source = Path(os.environ["DEPTHDEPLOY_TEST_DATA"]) / "weights/fastdepth/fast_depth_224.onnx"
    legal = legalize(store(onnx.load(source), tmp_path / "graph.onnx"), target, "cpu-avx2", tmp_path / "legal.onnx")
    quantized = quantize(legal, target, tmp_path / "int8.onnx")
    artifact = compile_artifact(quantized, target, folder=tmp_path, jobs=tmp_path / "jobs")
    assert artifact.size < 0.4 * source.stat().st_size
    exact, emulated = OnnxSession(source), OnnxSession(quantized.model.path, exact=True)
    with open_runner(artifact, target, threads=2) as runner:
        image = images(legal.model, 1)[0]
        gap = sqnr_db(exact.predict(image), emulated.predict(image)) - sqnr_db(
            exact.predict(image), runner.predict(image)
        )
        assert abs(gap) < 0.5
        counts = count_precisions(runner.profile(image))
    assert counts["int8"] > 40
    assert counts.get("fp32", 0) <= 1
