"""The reference engine: FP32 runs, and emulation that executes Q/DQ exactly."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthdeploy.errors import ModelError
from depthdeploy.inference import OnnxSession, describe, threads
from depthdeploy.testing.graph_text import build


def _quantized_convolution(path: Path) -> np.ndarray:
    """A Q/DQ convolution whose pair sums leave 16 bits by far: 255 x 127 x 2, over 64 channels."""
    generator = np.random.default_rng(0)
    weights = generator.choice(np.array([-127, 126, 127], dtype=np.int8), size=(8, 64, 3, 3))
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "ys", "z"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "ys", "z"], ["y"]),
    ]
    constants = {
        "s": np.float32(1 / 255),
        "z": np.uint8(0),
        "w": weights,
        "ws": np.full(8, 1 / 127, np.float32),
        "ys": np.float32(2.5),
    }
    graph = helper.make_graph(
        nodes,
        "saturating",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 16, 16])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return generator.random((1, 64, 16, 16), dtype=np.float32)


def test_emulation_is_the_graph_as_it_stands_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "q.onnx"
    image = _quantized_convolution(path)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, {"x": image})[0]
    np.testing.assert_array_equal(OnnxSession(path, exact=True).predict(image), plain)


def test_emulation_does_not_saturate(tmp_path: Path) -> None:
    """Against the sum written out in float64, where nothing can saturate."""
    path = tmp_path / "q.onnx"
    image = _quantized_convolution(path)
    (weights,) = (
        numpy_helper.to_array(tensor).astype(np.float64)
        for tensor in onnx.load(path).graph.initializer
        if tensor.name == "w"
    )
    pixels = np.rint(image.astype(np.float64) * 255)
    padded = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)))
    sums = np.zeros((1, 8, 16, 16))
    for row in range(3):
        for column in range(3):
            window = padded[:, :, row : row + 16, column : column + 16]
            sums += np.einsum("nchw,oc->nohw", window, weights[:, :, row, column])
    pairs = np.abs(weights[:, ::2] * 255 + weights[:, 1::2] * 255).max()
    assert pairs > 2**15, "the case does not saturate 16 bits"
    real = np.maximum(sums / 255 / 127, 0)
    expected = np.clip(np.rint(real / 2.5), 0, 255) * 2.5
    assert np.abs(OnnxSession(path, exact=True).predict(image) - expected).max() <= 2.5  # a tie may round either way
    assert np.mean(OnnxSession(path, exact=True).predict(image) == expected.astype(np.float32)) > 0.999


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"x\.onnx"):
        OnnxSession(path)


def test_the_engine_names_itself() -> None:
    assert describe().startswith("onnxruntime ")
    assert threads() >= 1


def test_zeros_before_a_max_pooling_stay_zeros(tmp_path: Path) -> None:
    """ONNX Runtime's own fusion would take minus infinity in their place."""
    proto = build(
        """
        padded (float[1,1,2,2] image) => (float[1,1,4,4] depth)
        <int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float zero = {0}>
        {
            larger = Pad (image, pads, zero)
            depth = MaxPool <kernel_shape=[1,1]> (larger)
        }"""
    )
    path = tmp_path / "padded.onnx"
    onnx.save(proto, path)
    found = OnnxSession(path).predict(np.full((1, 1, 2, 2), -1, np.float32))
    assert found[0, 0, 0].tolist() == [0, 0, 0, 0]
