"""Hard variants compute the same function with channels that are far apart."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from quantizers.harden import ACTIVATIONS, HOMOGENEOUS, harden, pairs

from depthdeploy.testing.graphs import depthwise_block, residual_block

Weights = dict[str, NDArray[np.float32]]


def network(between: list[onnx.NodeProto], *, groups: int = 1, extra: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Conv ``a`` -> ``between`` (from ``a`` to ``m``) -> Conv ``b`` of 8 channels in ``groups`` groups."""
    random = np.random.default_rng(3)
    shapes = {"wa": (8, 3, 3, 3), "ba": (8,), "wb": (16, 8 // groups, 3, 3), "bb": (16,)}
    constants = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], dtype=np.float32), "scales"))
    nodes = [
        helper.make_node("Conv", ["x", "wa", "ba"], ["a"], pads=[1, 1, 1, 1]),
        *between,
        helper.make_node("Conv", ["m", "wb", "bb"], ["y"], pads=[1, 1, 1, 1], group=groups),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", *extra)]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph(nodes, "two-layers", [image], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def relu() -> list[onnx.NodeProto]:
    return [helper.make_node("Relu", ["a"], ["m"])]


def evaluated(model: onnx.ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
    results = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: image})
    assert isinstance(results, list)
    return np.asarray(results[0], dtype=np.float32)


def run(model: onnx.ModelProto) -> NDArray[np.float32]:
    image = np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32)
    return evaluated(model, image)


def weights(model: onnx.ModelProto) -> Weights:
    return {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}


def hardened(
    model: onnx.ModelProto, *, seed: int = 0, span: float = 4.0, through: AbstractSet[str] = ACTIVATIONS
) -> tuple[onnx.ModelProto, int]:
    graph = ir.from_proto(model)
    count = harden(graph, seed=seed, span=span, through=through)
    return ir.to_proto(graph), count


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_the_function_stays_whatever_the_groups(groups: int) -> None:
    model = network(relu(), groups=groups)
    hard, count = hardened(model)
    assert count == 1
    np.testing.assert_allclose(run(hard), run(model), rtol=2e-5, atol=1e-4)


def test_a_resize_between_is_passed_where_that_is_said() -> None:
    between = [
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Resize", ["r", "", "scales"], ["m"], mode="linear"),
    ]
    assert hardened(network(between))[1] == 0
    hard, count = hardened(network(between), through=HOMOGENEOUS)
    assert count == 1
    np.testing.assert_allclose(run(hard), run(network(between)), rtol=2e-5, atol=1e-4)


def test_channels_differ_by_the_span() -> None:
    model = network(relu())
    before, after = weights(model), weights(hardened(model, span=4.0)[0])
    factors = (after["wa"] / before["wa"])[:, 0, 0, 0]
    assert factors.min() >= 2**-4.001
    assert factors.max() <= 2**4.001
    assert factors.max() / factors.min() > 4
    np.testing.assert_allclose(after["ba"], before["ba"] * factors, rtol=1e-5)


def test_a_seed_gives_one_network() -> None:
    model = network(relu())
    one, same, other = (weights(hardened(model, seed=seed)[0])["wa"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_clip_between_is_left_alone() -> None:
    six = helper.make_node("Constant", [], ["six"], value_float=6.0)
    none = helper.make_node("Constant", [], ["none"], value_float=0.0)
    model = network([none, six, helper.make_node("Clip", ["a", "none", "six"], ["m"])])
    assert hardened(model)[1] == 0


def test_a_tensor_with_two_readers_is_left_alone() -> None:
    model = network([*relu(), helper.make_node("Neg", ["m"], ["z"])], extra=("z",))
    assert hardened(model)[1] == 0


def test_a_tensor_that_the_graph_gives_out_is_left_alone() -> None:
    assert hardened(network(relu(), extra=("a",)))[1] == 0


def test_a_shared_weight_is_left_alone() -> None:
    model = network([*relu(), helper.make_node("Neg", ["wa"], ["z"])], extra=("z",))
    assert hardened(model)[1] == 0


@pytest.mark.parametrize("make", [depthwise_block, residual_block])
def test_pairs_of_whole_graphs_keep_the_function(make: Callable[[], onnx.ModelProto]) -> None:
    model = make()
    graph = ir.from_proto(model)
    found = list(pairs(graph.graph))
    hard, count = hardened(model)
    assert count == len(found)
    image = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(evaluated(hard, image), evaluated(model, image), rtol=1e-4, atol=1e-4)
