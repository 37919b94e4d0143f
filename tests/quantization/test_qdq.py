"""The editor: exact values, deterministic bytes, an untouched interface, and integer kernels in two runtimes."""

import collections
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel, QuantizedModel
from depthdeploy.core.quant import QuantPlan
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import QuantizationError, StorageError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.testing import graphs

Array = NDArray[np.float32]
Store = Callable[[onnx.ModelProto], OnnxModel]
Photos = list[Array]
Schemes = Callable[..., Scheme]
Legal = Callable[[OnnxModel], LegalModel]
Quantized = Callable[..., QuantizedModel]

#: What ONNX Runtime makes of a MatMul between pairs: with a bias, with a float output, with neither.
INTEGER_PRODUCTS = ("QGemm", "MatMulIntegerToFloat", "QLinearMatMul")


@pytest.fixture
def quantized(store: Store, photos: Photos, scheme: Schemes, legal: Legal, tmp_path: Path) -> Quantized:
    def make(proto: onnx.ModelProto, name: str = "q", **settings: object) -> QuantizedModel:
        model = store(proto)
        statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
        return apply_plan(legal(model), make_plan(model, statistics, scheme(**settings)), tmp_path / f"{name}.onnx")

    return make


def plan_of(model: QuantizedModel) -> QuantPlan:
    assert model.plan is not None
    return model.plan


def convolve(x: NDArray[np.float64], w: NDArray[np.float64], b: NDArray[np.float64], pad: int) -> NDArray[np.float64]:
    """Stride 1, one group, float64."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    sums: NDArray[np.float64] = np.einsum("nchwij,ocij->nohw", windows, w) + b.reshape(1, -1, 1, 1)
    return sums


def rounded(x: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Onto the grid and back, from the definition, in integers of any size."""
    scale, zero = np.float32(grid.scale[0]), grid.zero_point[0]
    q = np.clip(np.rint(x.astype(np.float32) / scale) + zero, 0, 255)
    real: NDArray[np.float64] = (q - zero) * np.float64(scale)
    return real


def two_convolutions() -> onnx.ModelProto:
    proto = graphs.build(
        """
        two_convolutions (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[8,3,3,3] w1, float[8] b1, float[8,8,3,3] w2, float[8] b2, float[1,8,1,1] w3, float[1] b3>
        {
            conv1 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1, b1)
            act1 = Relu (conv1)
            conv2 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (act1, w2, b2)
            depth = Conv <kernel_shape=[1,1]> (conv2, w3, b3)
        }"""
    )
    for constant in proto.graph.initializer:  # one sign and one size: every product is close to the largest there is
        if constant.name in ("w1", "w2"):
            array = np.full(tuple(constant.dims), 0.5, np.float32)
            constant.CopyFrom(onnx.numpy_helper.from_array(array, constant.name))
    return proto


def emulated(plan: QuantPlan, constants: dict[str, Array], image: Array) -> NDArray[np.float64]:
    """The plan's arithmetic on two_convolutions, without any Q/DQ node."""
    on = {line.tensor: line.grid for line in plan.activations}
    weights = {line.tensor: line.grid.dequantize(line.grid.quantize(constants[line.tensor])) for line in plan.weights}
    biases = {
        b.tensor: np.rint(constants[b.tensor] / np.asarray(b.scale, np.float32)) * np.asarray(b.scale, np.float32)
        for b in plan.biases
    }
    x = rounded(image.astype(np.float64), on["image"])
    x = rounded(np.maximum(convolve(x, weights["w1"].astype(np.float64), biases["b1"], 1), 0), on["act1"])
    x = rounded(convolve(x, weights["w2"].astype(np.float64), biases["b2"], 1), on["conv2"])
    return convolve(x, weights["w3"].astype(np.float64), biases["b3"], 0)


def test_exact_execution_is_the_plans_arithmetic_where_16_bits_would_saturate(quantized: Quantized) -> None:
    proto = two_convolutions()
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in proto.graph.initializer}
    model = quantized(proto)
    image = np.abs(np.random.default_rng(3).standard_normal((1, 3, 32, 32))).astype(np.float32) + 2.0
    on = {line.tensor: line.grid for line in plan_of(model).activations}
    integers = on["image"].quantize(image).astype(np.int64)
    pairs = 127 * (integers[:, 0] + integers[:, 1])
    assert int(pairs.max()) > 2**15 - 1  # what a kernel that adds two products in 16 bits would cut off
    found = OnnxSession(model.model.path, exact=True).predict(image)
    expected = emulated(plan_of(model), constants, image)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_seven_bit_weights_cannot_saturate_16_bits(quantized: Quantized) -> None:
    proto = two_convolutions()
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in proto.graph.initializer}
    for line in plan_of(quantized(proto, bits=7)).weights:
        assert 2 * 255 * int(np.abs(line.grid.quantize(constants[line.tensor])).max()) <= 2**15 - 1


def _has_vnni() -> bool:
    flags = Path("/proc/cpuinfo")
    return flags.exists() and any(f in flags.read_text() for f in ("avx512_vnni", "avx_vnni", "asimddp"))


@pytest.mark.parametrize("bits", [7, 8])
def test_fused_kernels_agree_with_exact_execution_unless_they_saturate(quantized: Quantized, bits: int) -> None:
    model = quantized(two_convolutions(), bits=bits)
    image = np.abs(np.random.default_rng(3).standard_normal((1, 3, 32, 32))).astype(np.float32) + 2.0
    exact = OnnxSession(model.model.path, exact=True).predict(image).astype(np.float64)
    fused = OnnxSession(model.model.path).predict(image)
    noise = 10 * np.log10((exact**2).sum() / max(((fused - exact) ** 2).sum(), 1e-12))
    if bits == 7 or _has_vnni():
        assert noise > 40
    else:
        assert noise < 40


@pytest.mark.parametrize("name", ["depthwise_block", "residual_block", "concat_decoder", "transposed_decoder",
                                  "attention_with_nan_guard", "shape_arithmetic"])  # fmt: skip
def test_the_function_is_nearly_kept(quantized: Quantized, photos: Photos, name: str) -> None:
    model = quantized(graphs.all_graphs()[name])
    onnx.checker.check_model(onnx.load(model.model.path), full_check=True)
    reference, found = OnnxSession(model.legal.model.path), OnnxSession(model.model.path, exact=True)
    pairs = [(reference.predict(photo).astype(np.float64), found.predict(photo)) for photo in photos]
    signal = np.mean([10 * np.log10((r**2).sum() / ((p - r) ** 2).sum()) for r, p in pairs])
    assert signal > 20


def test_the_interface_stays_and_the_result_is_described(quantized: Quantized) -> None:
    model = quantized(graphs.residual_block())
    proto = onnx.load(model.model.path)
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output] == ["depth"]
    assert (model.precision, model.model.input, model.model.output) == (
        "int8", model.legal.model.input, model.legal.model.output
    )  # fmt: skip
    assert model.model.sha256 != model.legal.model.sha256
    kinds = {constant.name: constant.data_type for constant in proto.graph.initializer}
    assert not any(name in kinds for name in ("w_stem", "w1", "b_stem"))
    assert sum(kind == onnx.TensorProto.INT32 for kind in kinds.values()) == 8  # four biases and their zero points


def test_a_quantized_output_keeps_its_name(quantized: Quantized, photos: Photos) -> None:
    model = quantized(graphs.residual_block(), quantize_output=True)
    proto = onnx.load(model.model.path)
    assert [value.name for value in proto.graph.output] == ["depth"]
    assert proto.graph.node[-1].op_type == "DequantizeLinear"
    grid = next(line.grid for line in plan_of(model).activations if line.tensor == "depth")
    levels = OnnxSession(model.model.path, exact=True).predict(photos[0]) / np.float32(grid.scale[0])
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)


def test_the_same_inputs_give_the_same_bytes(quantized: Quantized) -> None:
    first = quantized(graphs.concat_decoder(), "first")
    second = quantized(graphs.concat_decoder(), "second")
    assert first.model.sha256 == second.model.sha256
    assert first.model.path.read_bytes() == second.model.path.read_bytes()


def test_a_weight_that_two_nodes_read_is_stored_for_each(quantized: Quantized) -> None:
    proto = graphs.build(
        """
        tied (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,1,1] w1, float[4,4,3,3] w_tied, float[1,4,1,1] w_head>
        {
            a = Conv <kernel_shape=[1,1]> (image, w1)
            b = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (a, w_tied)
            c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (b, w_tied)
            depth = Conv <kernel_shape=[1,1]> (c, w_head)
        }"""
    )
    stored = onnx.load(quantized(proto).model.path)
    onnx.checker.check_model(stored, full_check=True)
    assert "w_tied" not in {constant.name for constant in stored.graph.initializer}


def test_old_opsets_and_other_graphs_are_refused(
    store: Store, legal: Legal, quantized: Quantized, tmp_path: Path
) -> None:
    plan = plan_of(quantized(graphs.residual_block()))
    with pytest.raises(QuantizationError, match="plan names 4 tensors that the graph has not: stem"):
        apply_plan(legal(store(graphs.concat_decoder())), plan, tmp_path / "other.onnx")
    old = graphs.residual_block()
    old.opset_import[0].version = 11
    with pytest.raises(QuantizationError, match="opset 11"):
        apply_plan(legal(store(old)), plan, tmp_path / "old.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_a_quantized_graph_is_not_quantized_again(quantized: Quantized) -> None:
    once = quantized(graphs.residual_block())
    with pytest.raises(QuantizationError, match="quantized already: it has 20 Q/DQ nodes"):
        quantized(onnx.load(once.model.path))


def test_wide_activations_raise_the_opset(quantized: Quantized, photos: Photos) -> None:
    wide = NumberFormat(16, False, False, Granularity.TENSOR, 16)
    model = quantized(graphs.residual_block(), activations=wide)
    stored = onnx.load(model.model.path)
    onnx.checker.check_model(stored, full_check=True)
    assert (model.precision, model.model.opset, stored.opset_import[0].version) == ("int16", 21, 21)
    found = OnnxSession(model.model.path, exact=True).predict(photos[0])
    eight = OnnxSession(quantized(graphs.residual_block(), "eight").model.path, exact=True).predict(photos[0])
    expected = OnnxSession(model.legal.model.path).predict(photos[0])
    assert np.abs(found - expected).max() < np.abs(eight - expected).max()


def test_wide_activations_in_a_graph_that_cannot_be_raised(quantized: Quantized) -> None:
    wide = NumberFormat(16, False, False, Granularity.TENSOR, 16)
    old = graphs.residual_block()
    old.opset_import[0].version = 17
    with pytest.raises(QuantizationError, match="opset 17; Q/DQ nodes of this plan need 21"):
        quantized(old, activations=wide)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_a_file_that_cannot_be_written_leaves_nothing(quantized: Quantized, legal: Legal, tmp_path: Path) -> None:
    model = quantized(graphs.residual_block())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        apply_plan(model.legal, plan_of(model), tmp_path / "file" / "q.onnx")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def runtime_operators(path: Path, folder: Path) -> collections.Counter[str]:
    """What ONNX Runtime executes on this machine, from its profile."""
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    session.run(None, {entry.name: np.zeros(entry.shape, np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    return collections.Counter(
        event["args"]["op_name"] for event in events if event.get("name", "").endswith("_kernel_time")
    )


def integer_convolutions(model: QuantizedModel) -> int:
    """The convolutions of a plan that are integer throughout."""
    partly = {line.node for line in plan_of(model).floats}
    proto = onnx.load(model.legal.model.path)
    wanted = {line.node for line in plan_of(model).weights} - partly
    return sum(node.op_type == "Conv" and (node.name or node.output[0]) in wanted for node in proto.graph.node)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("depthwise_block", {"QLinearAdd": 1}),
        ("residual_block", {"QLinearAdd": 1}),
        ("concat_decoder", {"QLinearConcat": 1}),
        ("transposed_decoder", {}),
    ],
)
def test_onnx_runtime_runs_the_plan_on_integers(
    quantized: Quantized, tmp_path: Path, name: str, others: dict[str, int]
) -> None:
    model = quantized(graphs.all_graphs()[name])
    found = runtime_operators(model.model.path, tmp_path)
    assert found["QLinearConv"] == integer_convolutions(model) > 0
    for operator, count in others.items():
        assert found[operator] == count


def test_onnx_runtime_runs_attention_on_integers(quantized: Quantized, tmp_path: Path) -> None:
    found = runtime_operators(quantized(graphs.attention_with_nan_guard()).model.path, tmp_path)
    integers = sum(count for operator, count in found.items() if operator in INTEGER_PRODUCTS)
    assert integers == 6
    assert found["MatMul"] == 0


@pytest.mark.parametrize("name", ["depthwise_block", "residual_block", "concat_decoder"])
def test_openvino_runs_the_plan_on_integers(quantized: Quantized, photos: Photos, name: str) -> None:
    openvino = pytest.importorskip("openvino")
    model = quantized(graphs.all_graphs()[name])
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(model.model.path), "CPU", settings)
    nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    kinds = [(str(info["layerType"].value), str(info["runtimePrecision"].value)) for info in nodes]
    convolutions = [precision for kind, precision in kinds if kind == "Convolution"]
    assert len(convolutions) == len(plan_of(model).weights)
    assert set(convolutions) <= {"u8", "i8"}
    reference = OnnxSession(model.legal.model.path).predict(photos[0]).astype(np.float64)
    exact = OnnxSession(model.model.path, exact=True).predict(photos[0])
    found = np.asarray(compiled(photos[0])[0])
    # A sum that is absorbed into a convolution is not rounded in between: it may differ, but not be worse.
    assert ((found - reference) ** 2).sum() <= 1.1 * ((exact - reference) ** 2).sum()
