"""Bias correction: in the mean over photographs, rounding a layer's weight shifts its output no more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.bias import BiasCorrection
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.constants import with_constants
from depthdeploy.quantization.layers import planned_layers
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.workbench import Draft, Workbench
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Photos = list[NDArray[np.float32]]
Benches = Callable[[Draft, Scheme, Photos], Workbench]


def draft(model: OnnxModel, photos: Photos, scheme: Scheme) -> Draft:
    statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
    return Draft(model, statistics, make_plan(model, statistics, scheme))


def single(layer: str, weight: str, *, extra: str = "") -> onnx.ModelProto:
    """One layer on the image, without padding, and what makes one channel of the size of the image of it."""
    return graphs.build(
        f"""
        single (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <{weight}, int64[4] size = {{1, 1, 32, 32}}{extra}>
        {{
            {layer}
            middle = ReduceMean <keepdims=1> (made)
            depth = Expand (middle, size)
        }}""",
    )


LAYERS = {
    "conv": ("made = Conv <kernel_shape=[1,1]> (image, w, b)", "float[8,3,1,1] w, float[8] b"),
    "grouped": (
        "made = Conv <kernel_shape=[2,2], strides=[2,2], group=3> (image, w, b)",
        "float[6,1,2,2] w, float[6] b",
    ),
    "transposed": (
        "made = ConvTranspose <kernel_shape=[2,2], strides=[2,2]> (image, w, b)",
        "float[3,5,2,2] w, float[5] b",
    ),
    "transposed in groups": (
        "made = ConvTranspose <kernel_shape=[2,2], strides=[2,2], group=3> (image, w, b)",
        "float[3,2,2,2] w, float[6] b",
    ),
    "matmul": ("product = MatMul (image, w) made = Add (product, b)", "float[32,6] w, float[6] b"),
    "gemm": ("flat = Flatten <axis=3> (image) made = Gemm (flat, w, b)", "float[32,6] w, float[6] b"),
    "gemm, transposed": (
        "flat = Flatten <axis=3> (image) made = Gemm <transB=1> (flat, w, b)",
        "float[6,32] w, float[6] b",
    ),
}


def rounded(one: Draft, path: Path) -> OnnxModel:
    """The float graph with its weights on their grids."""
    layers = planned_layers(topology.load(one.model).graph, one.plan)
    grids = [layer.line.grid for layer in layers]
    arrays = {
        layer.line.tensor: grid.dequantize(grid.quantize(layer.weight))
        for layer, grid in zip(layers, grids, strict=True)
    }
    return with_constants(one.model, arrays, path)


def means(model: OnnxModel, photos: Photos, tensor: str, axis: int) -> NDArray[np.float64]:
    proto = onnx.load(model.path)
    proto.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = OnnxSession(proto.SerializeToString())
    stacked = np.stack([session.run(photo, [tensor])[0] for photo in photos]).astype(np.float64)
    axis = axis % (stacked.ndim - 1) + 1
    return np.asarray(stacked.mean(axis=tuple(other for other in range(stacked.ndim) if other != axis)))


@pytest.mark.parametrize("kind", LAYERS)
def test_the_mean_of_every_channel_is_that_of_the_float_layer(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches, tmp_path: Path, *, kind: str
) -> None:
    layer, weight = LAYERS[kind]
    photos = [photo[:, :, ::2, ::2].repeat(2, axis=2).repeat(2, axis=3) + np.float32(0.7) for photo in photos]
    start = draft(store(single(layer, weight)), photos, scheme(bits=3))
    done = BiasCorrection()(start, bench(start, scheme(bits=3), photos)).draft
    axis = -1 if "MatMul" in layer or "Gemm" in layer else 1
    wanted = means(start.model, photos, "made", axis)
    before = means(rounded(start, tmp_path / "before.onnx"), photos, "made", axis)
    after = means(rounded(done, tmp_path / "after.onnx"), photos, "made", axis)
    assert np.abs(before - wanted).max() > 1e-3
    np.testing.assert_allclose(after, wanted, atol=1e-5)


def test_only_biases_and_their_grids_change(store: Store, photos: Photos, scheme: Schemes, bench: Benches) -> None:
    start = draft(store(graphs.depthwise_block()), photos, scheme(bits=4))
    refined = BiasCorrection(images=4)(start, bench(start, scheme(bits=4), photos))
    before, after = (
        {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
        for path in (start.model.path, refined.draft.model.path)
    )
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"b_stem", "b_expand", "b_depthwise", "b_project", "b_head"}
    assert refined.draft.plan.activations == start.plan.activations
    assert refined.draft.plan.weights == start.plan.weights
    assert refined.detail == "the biases of 5 layers corrected"


def test_weights_on_their_grids_need_no_correction(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches, tmp_path: Path
) -> None:
    start = draft(store(graphs.depthwise_block()), photos, scheme())
    start = replace(start, model=rounded(start, tmp_path / "on_grid.onnx"))
    refined = BiasCorrection()(start, bench(start, scheme(), photos))
    assert refined.draft == start
    assert refined.detail == "no bias needs correction"


def test_a_layer_without_a_bias_of_its_own_is_told_of(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches
) -> None:
    proto = graphs.build(
        """
        two (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,1,1] w1, float[4] shared, float[4,4,1,1] w2, float[4,4,1,1] w3, float[1,4,1,1] w4, float[1] b4>
        {
            first = Conv <kernel_shape=[1,1]> (image, w1, shared)
            second = Conv <kernel_shape=[1,1]> (first, w2, shared)
            third = Conv <kernel_shape=[1,1]> (second, w3)
            depth = Conv <kernel_shape=[1,1]> (third, w4, b4)
        }"""
    )
    start = draft(store(proto), photos, scheme())
    refined = BiasCorrection()(start, bench(start, scheme(), photos))
    assert refined.detail == "the biases of 1 layers corrected; 3 have no bias of their own and stay as they are"


def test_the_same_photographs_give_the_same_bytes(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches
) -> None:
    start = draft(store(graphs.concat_decoder()), photos, scheme())
    digests = {BiasCorrection()(start, bench(start, scheme(), photos)).draft.model.sha256 for _ in range(2)}
    assert len(digests) == 1


def test_what_cannot_be_corrected(store: Store, photos: Photos, scheme: Schemes, bench: Benches) -> None:
    start = draft(store(graphs.residual_block()), photos, scheme())
    with pytest.raises(ValueError, match="images"):
        BiasCorrection(images=0)
    with pytest.raises(CalibrationError, match="No photograph"):
        BiasCorrection()(start, bench(start, scheme(), []))
    broken = [photos[0], np.full_like(photos[0], np.nan)]
    with pytest.raises(QuantizationError, match="The input of stem is NaN or infinite on photograph 1"):
        BiasCorrection()(start, bench(start, scheme(), broken))
