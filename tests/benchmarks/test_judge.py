"""The judge called exact runs no integer kernel, in either runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantizers.judge import opened, scores, summary

from depthdeploy.core.depth import DepthKind

ov = pytest.importorskip("openvino")

SCALE, STEP, ZERO = np.float32(0.0156), np.float32(0.0731), 3
SIDE, CHANNELS, OUT = 12, 32, 8


def layer(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A quantized convolution in a file, an image, and the output by integer arithmetic."""
    random = np.random.default_rng(0)
    image = random.uniform(0, 4, (1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    weight = random.integers(-127, 128, (OUT, CHANNELS, 1, 1)).astype(np.int8)
    scales = random.uniform(0.001, 0.01, OUT).astype(np.float32)
    constants = {
        "s": SCALE, "z": np.uint8(0), "w": weight, "ws": scales, "wz": np.zeros(OUT, np.int8), "t": STEP,
        "tz": np.uint8(ZERO),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("Conv", ["d", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "t", "tz"], ["e"]),
        helper.make_node("DequantizeLinear", ["e", "t", "tz"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, list(image.shape)),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, OUT, SIDE, SIDE]),
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "layer", ends[:1], ends[1:], stored)
    path = folder / "layer.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    integers = np.clip(np.rint(image / SCALE), 0, 255).astype(np.int64)
    sums = np.einsum("nchw,oc->nohw", integers, weight[:, :, 0, 0].astype(np.int64))
    real = sums * (float(SCALE) * scales.astype(np.float64))[None, :, None, None]
    return path, image, (np.clip(np.rint(real / float(STEP)) + ZERO, 0, 255) - ZERO) * float(STEP)


def test_q_dq_in_float_is_integer_arithmetic(tmp_path: Path) -> None:
    path, image, wanted = layer(tmp_path)
    np.testing.assert_allclose(opened("exact", path)(image), wanted, atol=1e-3 * float(STEP))


def test_an_ir_in_float_is_integer_arithmetic_but_for_ties(tmp_path: Path) -> None:
    path, image, wanted = layer(tmp_path)
    ov.save_model(ov.convert_model(path), tmp_path / "layer.xml", compress_to_fp16=False)
    off = np.abs(opened("exact", tmp_path / "layer.xml")(image) - wanted) / STEP
    assert off.max() < 1.001
    assert np.mean(off > 0.5) < 0.01


def test_an_ir_in_float_has_no_integer_layer(tmp_path: Path) -> None:
    path, image, _ = layer(tmp_path)
    kinds = {}
    for name, switch in (("exact", "NO"), ("kernels", "YES")):
        config = {"INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": "YES", "LP_TRANSFORMS_MODE": switch}
        request = ov.Core().compile_model(str(path), "CPU", config).create_infer_request()
        request.infer([image])
        kinds[name] = {info.exec_type.rsplit("_", 1)[-1] for info in request.profiling_info if "Conv" in info.node_type}
    assert kinds["exact"] == {"f32"}
    assert kinds["kernels"] != {"f32"}  # the switch decides it, not the graph


def test_an_unknown_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot run"):
        opened("onnxruntime", tmp_path / "quantized.xml")


def test_scores_are_means_over_photographs() -> None:
    photographs = np.linspace(1, 2, 2 * 16, dtype=np.float32).reshape(2, 1, 4, 4)
    found = scores(lambda x: x * np.float32(1.1), lambda x: x, photographs, DepthKind.METRIC_DEPTH)
    result = summary(found)
    assert result["delta1"] == 100.0
    assert result["sqnr_db"] == pytest.approx(20.0, abs=1e-3)
    far = summary(scores(lambda x: x * np.float32(1.3), lambda x: x, photographs, DepthKind.METRIC_DEPTH))
    assert far["delta1"] == 0.0  # metres have no free scale
    free = summary(scores(lambda x: x * np.float32(1.3), lambda x: x, photographs, DepthKind.INVERSE_DEPTH))
    assert free["delta1"] == 100.0
