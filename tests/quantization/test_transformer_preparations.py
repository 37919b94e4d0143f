"""SmoothQuant, equalization of products, absorption of normalization: same function, finer grids, the same bytes."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.digest import sha256_file
from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.support import Support
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.graph.canonicalize import canonicalize_file
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.fan import layer_fans, norm_fans
from depthdeploy.quantization.layer_norm_absorption import LayerNormAbsorption
from depthdeploy.quantization.matmul_equalization import MatMulEqualization
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.smooth import SmoothQuant
from depthdeploy.quantization.workbench import Preparation, Workbench
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import outputs
from depthdeploy.testing.transformer_graphs import MLP, QKV, block, scaled

PREPARATIONS = (
    SmoothQuant(images=2),
    SmoothQuant(alpha=0.8, images=1, multiply=True),
    MatMulEqualization(images=2),
    LayerNormAbsorption(),
)
W8A8 = Scheme(
    "u8s8",
    NumberFormat(8, True, True, Granularity.CHANNEL),
    NumberFormat(8, False, False, Granularity.TENSOR),
    frozenset({"Add", "Conv", "Gemm", "MatMul", "Reshape", "Split", "Transpose"}),
)
every = pytest.mark.parametrize("one", PREPARATIONS, ids=repr)


class Photographs:
    digest = "drawn"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return 8

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        rng = np.random.default_rng(3)
        return (rng.normal(size=self.shape).astype(np.float32) for _ in range(min(8, count or 8)))


def canonical(proto: onnx.ModelProto, folder: Path) -> OnnxModel:
    path = folder / "exported.onnx"
    onnx.save(proto, path)
    entry, out = (
        TensorSpec(value.name, "float32", tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim))
        for value in (proto.graph.input[0], proto.graph.output[0])
    )
    contract, depth = InputContract(entry.shape[2], entry.shape[3]), DepthContract(DepthKind.INVERSE_DEPTH)
    stored = OnnxModel(path, sha256_file(path), 18, entry, out, contract, depth, "block")
    return canonicalize_file(stored, folder / "canonical.onnx").model


def bench(model: OnnxModel, folder: Path) -> Workbench:
    return Workbench(model, W8A8, Photographs(model.input.shape), folder)


def difference(before: OnnxModel, after: OnnxModel) -> float:
    """The largest, as a share of the output's range."""
    (image,) = Photographs(before.input.shape).first(1)
    expected, found = (outputs(onnx.load(model.path), image)[0].astype(np.float64) for model in (before, after))
    return float(np.abs(found - expected).max() / np.ptp(expected))


def sqnr(model: OnnxModel, prepared: OnnxModel, folder: Path) -> float:
    """Of the quantized graph against the float one, dB."""
    photos = Photographs(model.input.shape)
    statistics = observe(
        prepared, photos.first(), observer=parse_observer("minmax"), calibration_digest="drawn", images=len(photos)
    )
    legal = LegalModel(prepared, "test", "any", Support(()))
    quantized = apply_plan(legal, make_plan(prepared, statistics, W8A8), folder / "quantized.onnx")
    reference, exact = OnnxSession(model.path), OnnxSession(quantized.model.path, exact=True)
    pairs = [(reference.predict(photo).astype(np.float64), exact.predict(photo)) for photo in photos.first()]
    signal = sum(float((expected**2).sum()) for expected, _ in pairs)
    noise = sum(float(((expected - found) ** 2).sum()) for expected, found in pairs)
    return 10 * float(np.log10(signal / noise))


@every
@pytest.mark.parametrize("qkv", QKV)
@pytest.mark.parametrize("mlp", MLP)
def test_every_form_of_a_block_keeps_its_function(one: Preparation, qkv: str, mlp: str, tmp_path: Path) -> None:
    model = canonical(scaled(block(qkv=qkv, mlp=mlp), "one_gain", 100, (3,)), tmp_path)
    prepared = one(model, bench(model, tmp_path)).model
    assert prepared.sha256 != model.sha256
    assert prepared.sha256 == sha256_file(prepared.path)
    onnx.checker.check_model(onnx.load(prepared.path), full_check=True)
    assert difference(model, prepared) < 1e-5
    assert (prepared.input, prepared.output) == (model.input, model.output)


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(
    steps=st.lists(st.sampled_from(PREPARATIONS), min_size=1, max_size=3),
    qkv=st.sampled_from(sorted(QKV)),
    mlp=st.sampled_from(sorted(MLP)),
    heads=st.sampled_from([1, 2, 3]),
    width=st.sampled_from([1, 2, 4]),
    norm_bias=st.booleans(),
    outlier=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_any_order_on_any_block_keeps_its_function(
    *,
    steps: list[Preparation],
    qkv: str,
    mlp: str,
    heads: int,
    width: int,
    norm_bias: bool,
    outlier: float,
    seed: int,
) -> None:
    hypothesis.assume(heads * width > 1)
    proto = block(qkv=qkv, mlp=mlp, heads=heads, width=width, norm_bias=norm_bias, seed=seed)
    with tempfile.TemporaryDirectory() as name:
        model = canonical(scaled(proto, "one_gain", outlier, (0,)), Path(name))
        prepared = model
        for step in steps:
            prepared = step(prepared, bench(model, Path(name))).model
        assert difference(model, prepared) < 1e-5


@every
@pytest.mark.parametrize("make", [graphs.depthwise_block, graphs.residual_block, graphs.concat_decoder])
def test_nothing_changes_in_a_convolutional_network(
    one: Preparation, make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    model = canonical(make(), tmp_path)
    before = sorted(tmp_path.iterdir())
    assert one(model, bench(model, tmp_path)).model is model
    assert sorted(tmp_path.iterdir()) == before


@every
def test_the_same_graph_gives_the_same_bytes(one: Preparation, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    model = canonical(block(qkv="gathered"), tmp_path)
    found = [one(model, bench(model, folder)) for folder in folders]
    assert found[0].model.sha256 == found[1].model.sha256
    assert found[0].detail == found[1].detail


def gains(proto: onnx.ModelProto, one: Preparation, folder: Path) -> float:
    model = canonical(proto, folder)
    prepared = one(model, bench(model, folder)).model
    return sqnr(model, prepared, folder) - sqnr(model, model, folder)


@pytest.mark.parametrize(("one", "least"), [(SmoothQuant(), 7.0), (LayerNormAbsorption(), 7.0)], ids=repr)
def test_a_channel_of_a_normalization_that_is_100_times_the_others_costs_less(
    one: Preparation, least: float, tmp_path: Path
) -> None:
    proto = block(heads=4, width=8)
    for name, weight in (("one_gain", "w_v"), ("two_gain", "w_1")):
        proto = scaled(scaled(proto, name, 100, (3,)), weight, 0.01, (3,))
    assert gains(proto, one, tmp_path) > least


def test_a_query_channel_that_is_100_times_its_key_costs_less(tmp_path: Path) -> None:
    proto = block(heads=4, width=8)
    for name, factor in (("w_q", 100), ("w_k", 0.01)):
        proto = scaled(proto, name, factor, (slice(None), 3))
    assert gains(proto, MatMulEqualization(), tmp_path) > 15


def test_a_value_channel_that_is_100_times_the_others_costs_less(tmp_path: Path) -> None:
    proto = scaled(scaled(block(heads=4, width=8), "w_v", 100, (slice(None), 3)), "w_out", 0.01, (3,))
    for one in (SmoothQuant(), MatMulEqualization()):
        assert gains(proto, one, tmp_path) > 15


def test_smoothing_behind_absorption_gives_the_normalization_that_it_gives_alone(tmp_path: Path) -> None:
    model = canonical(block(norm_bias=False), tmp_path)
    stage = bench(model, tmp_path)
    alone = SmoothQuant()(model, bench(model, tmp_path / "alone")).model
    both = SmoothQuant()(LayerNormAbsorption()(model, stage).model, stage).model
    for name in ("two_gain", "w_1", "w_q"):
        expected, found = (weight(graph, name) for graph in (graph_of(alone), graph_of(both)))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def graph_of(model: OnnxModel) -> ir.Graph:
    return topology.load(model).graph


def weight(graph: ir.Graph, name: str) -> NDArray[np.float64]:
    return np.asarray(topology.constant(graph.initializers[name]), dtype=np.float64)


@pytest.mark.parametrize("qkv", QKV)
def test_every_form_is_recognized(qkv: str, tmp_path: Path) -> None:
    model = canonical(block(qkv=qkv), tmp_path)
    graph = graph_of(model)
    norms = [(fan.whole(), len(fan.readers)) for fan in norm_fans(graph)]
    assert norms == [(True, 1 if qkv in ("gathered", "split") else 3), (True, 1)]
    (values,) = layer_fans(graph)
    assert [reader.through for reader in values.readers] == [frozenset({"MatMul"})]
    assert np.flatnonzero(values.free).tolist() == list(range(*((16, 24) if qkv in ("gathered", "split") else (0, 8))))
    assert MatMulEqualization()(model, bench(model, tmp_path)).detail.startswith("1 products")


def test_relu_is_passed(tmp_path: Path) -> None:
    fans = list(layer_fans(graph_of(canonical(block(mlp="relu"), tmp_path))))
    assert [set(reader.through) for fan in fans for reader in fan.readers] == [{"MatMul"}, {"Relu"}]


def test_gelu_is_divided_only_when_asked(tmp_path: Path) -> None:
    model = canonical(block(), tmp_path)
    multiplications = [
        sum(node.op_type == "Mul" for node in graph_of(one(model, bench(model, tmp_path)).model))
        for one in (SmoothQuant(), SmoothQuant(multiply=True))
    ]
    assert multiplications == [2, 3]


ALONE = {
    "shared keys": "q = Transpose <perm=[0,2,1,3]> (q_heads)\nk = Transpose <perm=[0,2,1]> (k_all)",
    "rotated": "q_rows = Transpose <perm=[0,2,1,3]> (q_heads)\nq = Mul (q_rows, angle)\n"
    "k_heads = Reshape (k_all, heads)\nk = Transpose <perm=[0,2,3,1]> (k_heads)",
    "read elsewhere": "q = Transpose <perm=[0,2,1,3]> (q_heads)\nk_heads = Reshape (k_all, heads)\n"
    "k = Transpose <perm=[0,2,3,1]> (k_heads)\nother = Neg (k)",
    "shuffled": "q_rows = Transpose <perm=[0,2,1,3]> (q_heads)\nq = Transpose <perm=[0,1,3,2]> (q_rows)\n"
    "k_heads = Reshape (k_all, heads)\nk = Transpose <perm=[0,2,1,3]> (k_heads)",
}


@pytest.mark.parametrize("form", ALONE)
def test_other_products_are_left_alone(form: str, tmp_path: Path) -> None:
    rows = 4 if form == "shuffled" else 16
    shared = form == "shared keys"
    proto = build(
        f"""g (float[1,3,4,4] image) => (float[1,2,{rows},{rows}] depth)
        <float[3,8] w_q, float[3,{4 if shared else 8}] w_k, float[16,4] angle, int64[3] flat = {{1, 3, 16}},
         int64[4] heads = {{1, 16, 2, 4}}>
        {{
            columns = Reshape (image, flat)
            tokens = Transpose <perm=[0,2,1]> (columns)
            q_all = MatMul (tokens, w_q)
            k_all = MatMul (tokens, w_k)
            q_heads = Reshape (q_all, heads)
            {ALONE[form]}
            scores = MatMul (q, k)
            depth = Softmax (scores)
        }}"""
    )
    if form == "read elsewhere":
        proto.graph.output.append(onnx.helper.make_tensor_value_info("other", 1, [1, 2, 4, 16]))
    model = canonical(proto, tmp_path)
    assert MatMulEqualization()(model, bench(model, tmp_path)).model is model


def test_a_normalization_that_a_residual_reads_is_left_alone(tmp_path: Path) -> None:
    proto = block(mlp="relu")
    for node in proto.graph.node:
        if node.name in ("sum1", "sum2"):  # normalized before the residual branches off
            node.input[1] = {"sum1": "norm1", "sum2": "norm2"}[node.name]
    model = canonical(proto, tmp_path)
    assert list(norm_fans(graph_of(model))) == []
    assert LayerNormAbsorption()(model, bench(model, tmp_path)).model is model
    prepared = SmoothQuant()(model, bench(model, tmp_path)).model
    assert difference(model, prepared) < 1e-5
    np.testing.assert_array_equal(weight(graph_of(prepared), "one_gain"), weight(graph_of(model), "one_gain"))


def test_absorption_leaves_ones_and_zeros(tmp_path: Path) -> None:
    model = canonical(block(), tmp_path)
    prepared = LayerNormAbsorption()(model, bench(model, tmp_path)).model
    for name, value in (("one_gain", 1), ("two_gain", 1), ("beta1", 0), ("beta2", 0)):
        assert (weight(graph_of(prepared), name) == value).all()
    assert LayerNormAbsorption()(prepared, bench(prepared, tmp_path)).model is prepared


def test_equal_ranges_stay(tmp_path: Path) -> None:
    model = canonical(block(), tmp_path)
    once = MatMulEqualization()(model, bench(model, tmp_path / "once")).model
    twice = MatMulEqualization()(once, bench(once, tmp_path / "twice")).model
    for name in ("w_q", "w_k", "w_v", "w_out"):
        np.testing.assert_allclose(weight(graph_of(twice), name), weight(graph_of(once), name), rtol=1e-4)


@pytest.mark.parametrize(
    "make",
    [lambda: SmoothQuant(alpha=1.5), lambda: SmoothQuant(images=0), lambda: MatMulEqualization(images=0)],
)
def test_settings_outside_their_range_are_refused(make: Callable[[], Preparation]) -> None:
    with pytest.raises(ValueError, match="must"):
        make()


@pytest.mark.parametrize("pads", [0, 1])
def test_a_shift_is_not_absorbed_where_an_image_is_padded_with_zeros(pads: int, tmp_path: Path) -> None:
    proto = build(
        f"""g (float[1,3,4,4] image) => (float[1,1,{2 + 2 * pads},{2 + 2 * pads}] depth)
        <float[3] one_gain, float[3] beta, float[1,3,3,3] w, int64[3] flat = {{1, 3, 16}},
         int64[4] map_shape = {{1, 3, 4, 4}}>
        {{
            columns = Reshape (image, flat)
            tokens = Transpose <perm=[0,2,1]> (columns)
            norm = LayerNormalization (tokens, one_gain, beta)
            turned = Transpose <perm=[0,2,1]> (norm)
            map = Reshape (turned, map_shape)
            conv = Conv <pads=[{pads},{pads},{pads},{pads}]> (map, w)
            depth = Relu (conv)
        }}"""
    )
    model = canonical(proto, tmp_path)
    prepared = LayerNormAbsorption()(model, bench(model, tmp_path)).model
    assert (prepared is model) is bool(pads)
    assert difference(model, prepared) < 1e-5
    smoothed = SmoothQuant(images=2)(model, bench(model, tmp_path)).model
    assert smoothed is not model
    assert difference(model, smoothed) < 1e-5
