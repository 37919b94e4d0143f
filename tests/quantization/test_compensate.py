"""Compensated rounding: on the grid, never worse than rounding to nearest, and better where inputs vary together."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.bias import BiasCorrection
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.compensate import CompensatedRounding, round_layer
from depthdeploy.quantization.layers import Layer, planned_layers
from depthdeploy.quantization.moments import Moments, patch_moments
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.patches import as_matrices, from_matrices, geometry, sample
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.workbench import Draft, Workbench
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Photos = list[NDArray[np.float32]]
Benches = Callable[[Draft, Scheme, Photos], Workbench]

NETWORKS = [graphs.depthwise_block(), graphs.concat_decoder(), graphs.transposed_decoder(), graphs.residual_block()]


@pytest.fixture
def smooth() -> Photos:
    """Photographs whose neighbouring pixels and channels vary together, as those of scenes do."""
    rng = np.random.default_rng(3)
    coarse = rng.standard_normal((8, 1, 1, 8, 8)).repeat(3, axis=2).repeat(4, axis=3).repeat(4, axis=4)
    return [*(coarse + 0.2 * rng.standard_normal((8, 1, 3, 32, 32)) + 0.4).astype(np.float32)]


def draft(model: OnnxModel, photos: Photos, scheme: Scheme) -> Draft:
    statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
    return Draft(model, statistics, make_plan(model, statistics, scheme))


def layers_of(one: Draft) -> tuple[Layer, ...]:
    return planned_layers(topology.load(one.model).graph, one.plan)


LAYERS = {
    "strides and pads": (
        "made = Conv <kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,1]> (image, w, b)",
        "float[8,3,3,3] w, float[8] b",
    ),
    "dilated": (
        "made = Conv <kernel_shape=[3,3], dilations=[2,1], pads=[2,0,2,2]> (image, w, b)",
        "float[4,3,3,3] w, float[4] b",
    ),
    "groups": ("made = Conv <kernel_shape=[5,5], group=3> (image, w, b)", "float[6,1,5,5] w, float[6] b"),
    "pointwise": ("made = Conv <kernel_shape=[1,1], strides=[2,2]> (image, w, b)", "float[5,3,1,1] w, float[5] b"),
    "transposed": (
        "made = ConvTranspose <kernel_shape=[2,2], strides=[2,2]> (image, w, b)",
        "float[3,5,2,2] w, float[5] b",
    ),
    "matmul": ("product = MatMul (image, w) made = Add (product, b)", "float[32,6] w, float[6] b"),
    "gemm": ("flat = Flatten <axis=3> (image) made = Gemm (flat, w, b)", "float[32,6] w, float[6] b"),
    "gemm, transposed": (
        "flat = Flatten <axis=3> (image) made = Gemm <transB=1> (flat, w, b)",
        "float[6,32] w, float[6] b",
    ),
}


def single(kind: str) -> onnx.ModelProto:
    layer, weight = LAYERS[kind]
    return graphs.build(
        f"""
        single (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <{weight}, int64[4] size = {{1, 1, 32, 32}}>
        {{
            {layer}
            middle = ReduceMean <keepdims=1> (made)
            depth = Expand (middle, size)
        }}"""
    )


def outputs(one: Draft, photo: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """What a layer gives at every position, ``[rows of its matrices, positions]``."""
    proto = onnx.load(one.model.path)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("made", onnx.TensorProto.FLOAT, None))
    made = np.asarray(OnnxSession(proto.SerializeToString()).run(photo, ["made"])[0])
    if layer.channels_last:
        return made.reshape(-1, made.shape[-1]).T
    if layer.node.op_type == "ConvTranspose":  # a row per channel and tap of the 2 x 2 windows
        split = made.reshape(*made.shape[:2], made.shape[2] // 2, 2, made.shape[3] // 2, 2)
        return split.transpose(1, 3, 5, 0, 2, 4).reshape(made.shape[1] * 4, -1)
    return made.transpose(1, 0, 2, 3).reshape(made.shape[1], -1)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_its_matrices_times_its_patches(store: Store, photos: Photos, scheme: Schemes, *, kind: str) -> None:
    one = draft(store(single(kind)), photos, scheme())
    (layer,) = layers_of(one)
    how = geometry(layer)
    assert how is not None
    entering = photos[0].reshape(-1, 32) if "Flatten" in LAYERS[kind][0] else photos[0]
    patches = sample(entering, how, 10**6, np.random.default_rng(0))
    matrices = as_matrices(layer, layer.weight)
    made = (matrices.transpose(0, 2, 1) @ patches).reshape(-1, patches.shape[2])
    bias = np.asarray(topology.constant(topology.load(one.model).graph.initializers["b"]), dtype=np.float32)
    made = made + bias.repeat(len(made) // len(bias))[:, None]
    np.testing.assert_allclose(made, outputs(one, photos[0], layer), rtol=1e-4, atol=1e-4)
    assert np.array_equal(from_matrices(layer, matrices), layer.weight)
    few = sample(entering, how, 20, np.random.default_rng(0))
    assert few.shape == (how.groups, how.fan_in, 20)
    columns = {column.tobytes() for column in patches.reshape(-1, patches.shape[2]).T}
    assert all(column.tobytes() in columns for column in few.reshape(-1, 20).T)


def test_moments_are_those_of_all_patches(store: Store, photos: Photos, scheme: Schemes) -> None:
    one = draft(store(single("gemm")), photos, scheme())
    (layer,) = layers_of(one)
    how = geometry(layer)
    assert how is not None
    photos = [photo + np.float32(50) for photo in photos]  # far from 0, where sums of squares would cancel
    moments = patch_moments(one.model, photos, [(layer, how)], images=1, positions=96, seed=0)["made"]
    drawn = np.concatenate([photo.reshape(96, 32) for photo in photos]).astype(np.float64)
    np.testing.assert_allclose(moments.mean[0], drawn.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(moments.covariance[0], np.cov(drawn.T, bias=True), atol=1e-5)


@pytest.mark.parametrize("proto", NETWORKS, ids=lambda proto: proto.graph.name)
@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize("bits", [8, 4])
def test_weights_lie_on_their_grids(
    store: Store, smooth: Photos, scheme: Schemes, bench: Benches,
    *, proto: onnx.ModelProto, granularity: Granularity, bits: int,
) -> None:  # fmt: skip
    chosen = scheme(bits=bits, granularity=granularity)
    start = draft(store(proto), smooth, chosen)
    done = CompensatedRounding()(start, bench(start, chosen, smooth)).draft
    assert done.plan.activations == start.plan.activations
    before = {layer.label: layer for layer in layers_of(start)}
    changed = 0
    for layer in layers_of(done):
        assert layer.line.grid == before[layer.label].line.grid
        assert np.array_equal(layer.line.grid.dequantize(layer.line.grid.quantize(layer.weight)), layer.weight)
        assert layer.bias == before[layer.label].bias
        old = before[layer.label]
        changed += int(np.sum(layer.line.grid.quantize(layer.weight) != layer.line.grid.quantize(old.weight)))
    assert changed > 0


def errors(one: Draft, reference: OnnxModel, legal: LegalModel, photos: Photos, path: Path) -> float:
    weights_alone = replace(one.plan, activations=(), biases=())
    made = apply_plan(replace(legal, model=one.model), weights_alone, path)
    float_session, session = OnnxSession(reference.path), OnnxSession(made.model.path, exact=True)
    return float(np.mean([np.square(session.predict(one) - float_session.predict(one)).mean() for one in photos]))


@pytest.mark.parametrize("proto", NETWORKS, ids=lambda proto: proto.graph.name)
def test_the_network_is_closer_to_fp32(
    store: Store, smooth: Photos, scheme: Schemes, bench: Benches, legal: Callable[[OnnxModel], LegalModel],
    *, tmp_path: Path, proto: onnx.ModelProto,
) -> None:  # fmt: skip
    start = draft(store(proto), smooth, scheme(bits=4))
    workbench = bench(start, scheme(bits=4), smooth[:6])
    corrected = BiasCorrection()(start, workbench).draft
    compensated = CompensatedRounding(images=6, positions=1024)(start, workbench).draft
    nearest, better = (
        errors(one, start.model, legal(start.model), smooth[6:], tmp_path / "tried.onnx")
        for one in (corrected, compensated)
    )
    assert better < 0.8 * nearest


def layer_with(store: Store, photos: Photos, scheme: Schemes, kind: str, bits: int) -> Layer:
    (layer,) = layers_of(draft(store(single(kind)), photos, scheme(bits=bits)))
    return layer


def test_never_worse_than_nearest_and_equal_for_independent_inputs(
    store: Store, photos: Photos, scheme: Schemes
) -> None:
    layers = {bits: layer_with(store, photos, scheme, "matmul", bits) for bits in (3, 4, 8)}

    @given(seed=st.integers(0, 10**6), rank=st.integers(1, 40), bits=st.sampled_from([3, 4, 8]))
    @settings(max_examples=40, deadline=None)
    def law(*, seed: int, rank: int, bits: int) -> None:
        layer = layers[bits]
        spread = np.random.default_rng(seed).standard_normal((1, 32, rank))
        mean = spread.mean(axis=2)
        rounded = round_layer(layer, Moments(mean, spread @ spread.transpose(0, 2, 1)), 0.01)
        assert rounded.cost <= rounded.nearest * (1 + 1e-12)
        error = rounded.weight.astype(np.float64) - layer.weight
        np.testing.assert_allclose(rounded.shift, mean[0] @ error, atol=1e-9)
        variances = np.random.default_rng(seed).uniform(0.1, 9, 32)
        alone = round_layer(layer, Moments(mean, np.diag(variances)[None]), 0.01)
        grid = layer.line.grid
        assert np.array_equal(alone.weight, grid.dequantize(grid.quantize(layer.weight)))

    law()


def test_equal_inputs_round_their_sum(store: Store, photos: Photos, scheme: Schemes) -> None:
    layer = layer_with(store, photos, scheme, "matmul", 4)
    rounded = round_layer(layer, Moments(np.zeros((1, 32)), np.ones((1, 32, 32))), 1e-6)
    error = np.abs((rounded.weight.astype(np.float64) - layer.weight).sum(axis=0))
    assert np.all(error <= 0.51 * np.asarray(layer.line.grid.scale))
    assert rounded.cost < 0.2 * rounded.nearest


def test_what_is_not_compensated_is_told_of(store: Store, photos: Photos, scheme: Schemes, bench: Benches) -> None:
    start = draft(store(graphs.residual_block()), photos, scheme())
    refined = CompensatedRounding(largest=30)(start, bench(start, scheme(), photos))
    assert refined.detail.startswith("the rounding of 2 layers compensated, which takes ")
    assert refined.detail.endswith("; 2 rounded to nearest")
    again = CompensatedRounding(largest=30)(refined.draft, bench(start, scheme(), photos))
    assert again.detail == "no layer's rounding is compensated; 2 rounded to nearest"
    assert again.draft is refined.draft


def test_inputs_that_never_vary_leave_weights_to_nearest(store: Store, scheme: Schemes, bench: Benches) -> None:
    still = [np.full((1, 3, 32, 32), 0.5, dtype=np.float32)] * 2
    start = draft(store(single("pointwise")), still, scheme(bits=3))
    start = replace(start, plan=replace(start.plan, activations=(), biases=()))
    (layer,) = layers_of(start)
    assert layer.grid is None
    (done,) = layers_of(CompensatedRounding()(start, bench(start, scheme(bits=3), still)).draft)
    assert np.array_equal(done.weight, layer.line.grid.dequantize(layer.line.grid.quantize(layer.weight)))


def test_the_same_photographs_give_the_same_bytes(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches
) -> None:
    start = draft(store(graphs.concat_decoder()), photos, scheme())
    digests = {CompensatedRounding()(start, bench(start, scheme(), photos)).draft.model.sha256 for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize(("wrong", "found"), [({"images": 0}, "images"), ({"positions": 0}, "positions")])
def test_settings_are_checked(wrong: dict[str, int], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        CompensatedRounding(**wrong)
    with pytest.raises(ValueError, match="damping"):
        CompensatedRounding(damping=0.0)


def test_what_cannot_be_compensated(store: Store, photos: Photos, scheme: Schemes, bench: Benches) -> None:
    start = draft(store(graphs.residual_block()), photos, scheme())
    with pytest.raises(CalibrationError, match="No photograph"):
        CompensatedRounding()(start, bench(start, scheme(), []))
    broken = [photos[0], np.full_like(photos[0], np.nan)]
    with pytest.raises(QuantizationError, match="The input of stem is NaN or infinite on photograph 1"):
        CompensatedRounding()(start, bench(start, scheme(), broken))
