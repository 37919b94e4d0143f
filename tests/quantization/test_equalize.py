"""Equalization across layers: the same function, finer grids, and what is left alone."""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.channel_groups import channel_groups
from depthdeploy.quantization.equalize import Equalize
from depthdeploy.quantization.workbench import Workbench
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function

Store = Callable[[onnx.ModelProto], OnnxModel]
Bench = Callable[..., Workbench]
Sqnr = Callable[[OnnxModel, Workbench], float]
Tensor = NDArray[np.float32]


def canonical(proto: onnx.ModelProto) -> onnx.ModelProto:
    model = ir.from_proto(proto)
    canonicalize(model)
    return ir.to_proto(model)


UNEVEN = """
    uneven (float[1,3,32,32] image) => (float[1,1,32,32] depth)
    <float[16,3,3,3] w1_uneven, float[16] b1, float[16,1,3,3] w2, float[16] b2, float[16,16,1,1] w3, float[16] b3,
     float[1,16,1,1] w_head, float[1] b_head, float zero = {0}, float ceiling = {6}>
    {
        conv1 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1_uneven, b1)
        act1 = ACTIVATION
        conv2 = Conv <kernel_shape=[3,3], pads=[1,1,1,1], group=16> (act1, w2, b2)
        act2 = Relu (conv2)
        conv3 = Conv <kernel_shape=[1,1]> (act2, w3, b3)
        sum = Add (conv3, act2)
        depth = Conv <kernel_shape=[1,1]> (sum, w_head, b_head)
    }"""
RELU, RELU6 = "Relu (conv1)", "Clip (conv1, zero, ceiling)"


def uneven(activation: str = RELU) -> onnx.ModelProto:
    return build(UNEVEN.replace("ACTIVATION", activation))


@pytest.mark.parametrize("rule", ["noise", "weights"])
@pytest.mark.parametrize("name", sorted(graphs.all_graphs()))
def test_every_graph_keeps_its_function(name: str, rule: str, store: Store, preparing: Bench) -> None:
    model = store(canonical(graphs.all_graphs()[name]))
    algorithm = Equalize(rule=rule, clips="keep")  # type: ignore[arg-type]
    prepared = algorithm(model, preparing(model)).model
    assert_same_function(onnx.load(model.path), onnx.load(prepared.path))


def test_uneven_channels_lose_less(store: Store, preparing: Bench, sqnr: Sqnr) -> None:
    model = store(uneven())
    bench = preparing(model)
    by_noise = Equalize()(model, bench).model
    by_weights = Equalize(rule="weights")(model, preparing(model, folder="by_weights")).model
    assert sqnr(by_noise, bench) > sqnr(model, bench) + 2
    assert sqnr(by_weights, bench) > sqnr(model, bench)


def test_channels_spread_on_purpose_come_back(store: Store, preparing: Bench, sqnr: Sqnr) -> None:
    proto = graphs.residual_block()
    easy = store(proto)
    bench = preparing(easy)
    spread = 2.0 ** np.random.default_rng(0).uniform(-4, 4, 8)
    by_name = {tensor.name: tensor for tensor in proto.graph.initializer}
    for name, factor in (("w1", spread[:, None, None, None]), ("b1", spread), ("w2", 1 / spread[None, :, None, None])):
        array = onnx.numpy_helper.to_array(by_name[name]) * factor
        by_name[name].CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    proto.graph.name = "hard"
    hard = store(proto)
    assert_same_function(onnx.load(easy.path), proto)
    assert sqnr(hard, bench) < sqnr(easy, bench) - 5
    assert sqnr(Equalize()(hard, preparing(hard)).model, bench) > sqnr(easy, bench) - 1


def test_a_clip_becomes_one_per_channel_exactly(store: Store, preparing: Bench) -> None:
    model = store(uneven(RELU6))
    prepared = Equalize(clips="per-channel")(model, preparing(model, "Min")).model
    after = onnx.load(prepared.path)
    assert [node.op_type for node in after.graph.node].count("Min") == 1
    assert "Clip" not in {node.op_type for node in after.graph.node}
    onnx.checker.check_model(after, full_check=True)
    assert_same_function(onnx.load(model.path), after)


def test_without_an_integer_min_the_clip_is_left_alone(store: Store, preparing: Bench) -> None:
    model = store(uneven(RELU6))
    made, kept = (Equalize(clips=clips)(model, preparing(model)).model for clips in ("per-channel", "keep"))
    assert made.sha256 == kept.sha256


def test_a_kept_clip_cuts_nothing_that_was_observed(store: Store, preparing: Bench, photos: list[Tensor]) -> None:
    model = store(uneven(RELU6))
    prepared = Equalize()(model, preparing(model)).model
    assert prepared.sha256 != model.sha256
    assert "Clip" in {node.op_type for node in onnx.load(prepared.path).graph.node}
    before, after = OnnxSession(model.path), OnnxSession(prepared.path)
    for photo in photos:
        wanted = before.predict(photo)
        np.testing.assert_allclose(after.predict(photo), wanted, atol=1e-5 * float(np.abs(wanted).max()))


def test_groups_join_what_an_addition_joins_and_stop_at_the_output(store: Store) -> None:
    groups = channel_groups(topology.load(store(uneven())).graph)
    names = [{str(value.name) for value in group.tensors} for group in groups]
    assert names == [{"conv1", "act1"}, {"conv2", "act2", "conv3", "sum"}]
    assert [[node.name for node in group.writers] for group in groups] == [["conv1"], ["conv2", "conv3"]]
    assert [[node.name for node in group.readers] for group in groups] == [["conv2"], ["conv3", "depth"]]


def test_what_another_operator_reads_is_left_alone(store: Store, preparing: Bench) -> None:
    proto = build(
        """
        gated (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <float[4,3,1,1] w1_uneven, float[4] b1, float[4,4,1,1] w2, float[4] b2, float[1,4,1,1] w3, float[1] b3>
        {
            conv1 = Conv <kernel_shape=[1,1]> (image, w1_uneven, b1)
            gate = Sigmoid (conv1)
            conv2 = Conv <kernel_shape=[1,1]> (conv1, w2, b2)
            product = Mul (conv2, gate)
            depth = Conv <kernel_shape=[1,1]> (product, w3, b3)
        }"""
    )
    model = store(proto)
    assert channel_groups(topology.load(model).graph) == ()
    assert Equalize(rule="weights")(model, preparing(model)).model is model


def test_a_weight_of_two_layers_is_left_alone(store: Store) -> None:
    proto = uneven()
    proto.graph.node[2].attribute.remove(next(a for a in proto.graph.node[2].attribute if a.name == "group"))
    for name, shape in (("w2", (16, 16, 1, 1)),):
        tensor = next(t for t in proto.graph.initializer if t.name == name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones(shape, np.float32), name))
    for attribute in proto.graph.node[2].attribute:
        attribute.ints[:] = [1, 1] if attribute.name == "kernel_shape" else [0, 0, 0, 0]
    proto.graph.node[4].input[1] = "w2"
    groups = channel_groups(topology.load(store(proto)).graph)
    assert all("w2" not in node.inputs[1].name for group in groups for node in (*group.writers, *group.readers))  # type: ignore[union-attr, operator]


def test_the_same_bytes_every_time(store: Store, preparing: Bench) -> None:
    model = store(uneven())
    assert len({Equalize()(model, preparing(model)).model.sha256 for _ in range(2)}) == 1


def test_a_channel_that_is_silent_on_few_photographs_is_not_blown_up(
    store: Store, preparing: Bench, sqnr: Sqnr, photos: list[Tensor]
) -> None:
    """The first photographs have the least contrast: a threshold keeps a channel at 0 there and not on the others."""
    proto = uneven()
    bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "b1")
    silent = onnx.numpy_helper.to_array(bias).copy()
    weight = onnx.numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == "w1_uneven"))
    loudest = int(np.abs(weight).sum(axis=(1, 2, 3)).argmax())
    silent[loudest] = -2.6 * np.sqrt((weight[loudest] ** 2).sum())
    bias.CopyFrom(onnx.numpy_helper.from_array(silent, "b1"))
    model = store(proto)
    few = preparing(model, seen=[photos[0] * np.float32(0.2)])
    assert sqnr(Equalize()(model, few).model, few) > sqnr(model, few)
