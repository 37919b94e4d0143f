"""Channel mixing: the same function, finer grids where channels are alike, and nothing beyond linear groups."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from depthdeploy.core.model import OnnxModel
from depthdeploy.quantization.mixing import ChannelMixing, _levelling
from depthdeploy.quantization.workbench import Workbench
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function

Store = Callable[[onnx.ModelProto], OnnxModel]
Bench = Callable[..., Workbench]
Sqnr = Callable[[OnnxModel, Workbench], float]


def bottlenecks() -> onnx.ModelProto:
    """An inverted residual and a 3x3 reader of its sum; ``w1`` has channels much alike, as bottlenecks have."""
    proto = build(
        """
        bottlenecks (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[12,3,3,3] w1, float[12] b1, float[24,12,1,1] w2, float[24] b2, float[12,24,1,1] w3, float[12] b3,
         float[8,12,3,3] w4, float[8] b4, float[1,8,1,1] w5, float[1] b5>
        {
            stem = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1, b1)
            wide = Conv <kernel_shape=[1,1]> (stem, w2, b2)
            act = Relu (wide)
            narrow = Conv <kernel_shape=[1,1]> (act, w3, b3)
            sum = Add (narrow, stem)
            head = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (sum, w4, b4)
            live = Relu (head)
            depth = Conv <kernel_shape=[1,1]> (live, w5, b5)
        }"""
    )
    w1 = next(tensor for tensor in proto.graph.initializer if tensor.name == "w1")
    array = onnx.numpy_helper.to_array(w1)
    alike = (0.1 * array + array.mean(axis=0, keepdims=True)).astype(np.float32)
    w1.CopyFrom(onnx.numpy_helper.from_array(alike, "w1"))
    return proto


def test_the_function_stays_and_the_loss_falls(store: Store, preparing: Bench, sqnr: Sqnr) -> None:
    model = store(bottlenecks())
    bench = preparing(model)
    made = ChannelMixing()(model, bench)
    assert made.detail == "channels of 1 of 1 linear groups mixed"
    assert_same_function(onnx.load(model.path), onnx.load(made.model.path))
    assert sqnr(made.model, bench) > sqnr(model, bench) + 1


@pytest.mark.parametrize("name", ["residual_block", "conv_batch_norm_relu6", "concat_decoder"])
def test_behind_an_activation_function_nothing_is_mixed(name: str, store: Store, preparing: Bench) -> None:
    model = store(graphs.all_graphs()[name])
    assert ChannelMixing()(model, preparing(model)).model is model


def test_the_same_bytes_every_time(store: Store, preparing: Bench) -> None:
    model = store(bottlenecks())
    assert len({ChannelMixing()(model, preparing(model)).model.sha256 for _ in range(2)}) == 1


def test_plane_rotations_level_the_channels() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((9, 9)) * 10.0 ** rng.uniform(-2, 2, 9)[:, None]
    rotation = _levelling(np.eye(9), root @ root.T)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(9), atol=1e-9)
    energies = np.diag(rotation @ root @ root.T @ rotation.T)
    np.testing.assert_allclose(energies, energies.mean(), rtol=1e-6)
