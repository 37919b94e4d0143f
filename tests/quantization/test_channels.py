"""Extremes and moments per channel: those of the activations, whatever reduces them."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import activation_tensors
from depthdeploy.quantization.channels import observe_channels
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Photos = list[NDArray[np.float32]]


def tokens() -> onnx.ModelProto:
    """Patches as tokens ``[1, 64, 8]``, a matrix product and a pooled vector ``[1, 8]``."""
    return graphs.build(
        """
        tokens (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[8,3,4,4] w1, float[8,8] w2, float[1,8,1,1] w3, int64[3] flat = {1, 8, 64},
         int64[4] square = {1, 8, 8, 8}, float[4] larger = {1, 1, 4, 4}>
        {
            patches = Conv <kernel_shape=[4,4], strides=[4,4]> (image, w1)
            rows = Reshape (patches, flat)
            tokens = Transpose <perm=[0,2,1]> (rows)
            mixed = MatMul (tokens, w2)
            columns = Transpose <perm=[0,2,1]> (mixed)
            grid = Reshape (columns, square)
            head = Conv <kernel_shape=[1,1]> (grid, w3)
            depth = Resize <mode="linear", coordinate_transformation_mode="half_pixel"> (head, , larger)
        }"""
    )


def everything(model: OnnxModel, names: list[str], photos: Photos) -> dict[str, NDArray[np.float32]]:
    """Every named tensor, photographs along the first axis."""
    proto = onnx.load(model.path)
    del proto.graph.output[:]
    inner = [name for name in names if name != model.input.name]
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inner)
    path = model.path.with_suffix(".all.onnx")
    onnx.save(proto, path)
    session = OnnxSession(path, exact=True)
    runs = [session.run(photo, inner) for photo in photos]
    found = {name: np.concatenate([np.asarray(run[i], np.float32) for run in runs]) for i, name in enumerate(inner)}
    return {model.input.name: np.concatenate(photos), **found}


@pytest.mark.parametrize(
    "proto", [graphs.depthwise_block(), graphs.concat_decoder(), tokens()], ids=lambda p: p.graph.name
)
def test_statistics_are_those_of_the_channels(store: Store, photos: Photos, proto: onnx.ModelProto) -> None:
    model = store(proto)
    names = list(activation_tensors(model))
    found = observe_channels(model, iter(photos), names)
    assert list(found) == names
    for name, values in everything(model, names, photos).items():
        axis = 1 if values.ndim == 4 else values.ndim - 1
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
        one = found[name]
        scale = np.abs(rows).max()
        assert one.images == 8
        assert np.all(one.low <= rows.min(axis=1) + 1e-4 * scale)
        floored = name.startswith("act") or name.endswith("_act")
        np.testing.assert_allclose(one.low, 0.0 if floored else rows.min(axis=1), atol=1e-4 * scale)
        np.testing.assert_allclose(one.high, rows.max(axis=1), atol=1e-4 * scale)
        np.testing.assert_allclose(one.mean, rows.mean(axis=1), atol=1e-4 * scale)
        np.testing.assert_allclose(one.mean_square, np.square(rows).mean(axis=1), atol=1e-4 * scale**2)
        np.testing.assert_allclose(one.variance, rows.var(axis=1), atol=3e-4 * scale**2)
        assert np.all(one.magnitude >= np.abs(one.mean) * (1 - 1e-4))


def test_the_result_does_not_depend_on_timing(store: Store, photos: Photos) -> None:
    model = store(graphs.residual_block())
    first, second = (observe_channels(model, photos, ["stem", "depth", "stem"]) for _ in range(2))
    assert list(first) == ["stem", "depth"]
    for name, one in first.items():
        assert np.array_equal(one.mean, second[name].mean)
        assert np.array_equal(one.mean_square, second[name].mean_square)


def test_a_photograph_that_is_not_finite_is_named(store: Store, photos: Photos) -> None:
    photos[5][0, 1, 3, 3] = np.nan
    with pytest.raises(QuantizationError, match="activation stem is NaN or infinite on photograph 5"):
        observe_channels(store(graphs.residual_block()), photos, ["stem"])


def test_what_cannot_be_observed(store: Store, photos: Photos) -> None:
    model = store(graphs.residual_block())
    with pytest.raises(QuantizationError, match="no activation stemm"):
        observe_channels(model, photos, ["stemm"])
    with pytest.raises(CalibrationError, match="No photograph"):
        observe_channels(model, [], ["stem"])
    assert observe_channels(model, photos, []) == {}
