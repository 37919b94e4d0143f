"""Plans: places, shared grids, weights and biases, decided before any graph is edited."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import QuantPlan, Statistics, TensorRange
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.calibrate import activation_tensors, observe
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Photos = list[NDArray[np.float32]]
Schemes = Callable[..., Scheme]
Planned = Callable[..., QuantPlan]

CONV = frozenset({"Conv"})


@pytest.fixture
def planned(store: Store, photos: Photos, scheme: Schemes) -> Planned:
    def plan(proto: onnx.ModelProto, **settings: object) -> QuantPlan:
        model = store(proto)
        statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
        return make_plan(model, statistics, scheme(**settings))

    return plan


def grids(plan: QuantPlan) -> dict[str, tuple[float, int]]:
    return {line.tensor: (line.grid.scale[0], line.grid.zero_point[0]) for line in plan.activations}


def ranges(**bounds: tuple[float, float]) -> Statistics:
    return Statistics("minmax", {n: TensorRange(n, low, high, 1) for n, (low, high) in bounds.items()}, 1, "")


def scaled(proto: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    for constant in proto.graph.initializer:
        if constant.name == name:
            array = (onnx.numpy_helper.to_array(constant) * factor).astype(np.float32)
            constant.CopyFrom(onnx.numpy_helper.from_array(array, name))
    return proto


def test_pairs_stand_around_units_and_not_inside_them(planned: Planned) -> None:
    plan = planned(graphs.depthwise_block())
    assert set(grids(plan)) == {"image", "stem", "expand_act", "depthwise_act", "project", "sum"}
    assert {line.node for line in plan.weights} == {"stem", "expand", "depthwise", "project", "depth"}
    assert [(line.node, line.operator) for line in plan.floats] == [("depth", "Conv")]
    assert "graph's output" in plan.floats[0].reason


def test_a_relu_with_its_own_input_between_pairs(planned: Planned) -> None:
    plan = planned(graphs.residual_block())
    assert set(grids(plan)) == {"image", "stem", "act1", "act2", "conv2", "sum"}
    assert grids(plan)["act1"][1] == 0  # the function is absorbed by its own grid
    assert grids(plan)["stem"][1] > 0


def test_the_output_can_be_quantized_on_demand(planned: Planned) -> None:
    plan = planned(graphs.residual_block(), quantize_output=True)
    assert "depth" in grids(plan)
    assert plan.floats == ()


def test_moves_and_joins_share_one_grid(planned: Planned) -> None:
    plan = planned(graphs.concat_decoder())
    found = grids(plan)
    assert found["skip"] == found["deep"] == found["large"] == found["joined"]
    assert found["act3"] != found["joined"]
    assert "shared by 4 tensors" in str(plan)


def test_a_join_leaves_out_an_input_whose_function_would_no_longer_be_absorbed(planned: Planned) -> None:
    proto = graphs.build(
        """
        mixed_join (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,3,3] w1, float[4,3,3,3] w2, float[1,8,1,1] w_head>
        {
            signed = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1)
            other = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w2)
            clamped = Relu (other)
            joined = Concat <axis=1> (signed, clamped)
            depth = Conv <kernel_shape=[1,1]> (joined, w_head)
        }"""
    )
    found = grids(planned(proto))
    assert found["signed"] == found["joined"]
    assert found["clamped"][1] == 0
    assert found["clamped"] != found["joined"]


def test_padding_in_front_of_a_convolution_gets_no_pair_of_its_own(planned: Planned) -> None:
    proto = graphs.build(
        """
        padded (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,3,3] w1, float[1,4,1,1] w_head, int64[8] around = {0, 0, 0, 0, 0, 0, 2, 2}>
        {
            wider = Pad (image, around)
            features = Conv <kernel_shape=[3,3]> (wider, w1)
            depth = Conv <kernel_shape=[1,1]> (features, w_head)
        }"""
    )
    assert set(grids(planned(proto))) == {"image", "features"}


def test_operators_outside_the_scheme_stay_float_with_the_reason(planned: Planned) -> None:
    plan = planned(graphs.concat_decoder(), operators=CONV)
    assert set(grids(plan)) == {"image", "skip", "deep", "joined", "act3"}
    reasons = {line.node: line.reason for line in plan.floats}
    assert reasons["joined"] == "scheme u8s8 has no integer Concat"
    assert reasons["large"] == "scheme u8s8 has no integer Resize"


def test_attention_keeps_its_float_islands(planned: Planned) -> None:
    plan = planned(graphs.attention_with_nan_guard())
    tensors = set(grids(plan))
    assert {"normed", "q_all", "q", "k", "v", "guarded", "mixed", "joined", "map"} <= tensors
    assert not tensors & {"product", "scaled", "weights", "v_product", "projected_product"}
    reasons = {line.node: line.reason for line in plan.floats}
    assert {"normed", "weights", "scaled"} <= set(reasons)
    assert {line.node for line in plan.weights} == {"patch", "q_all", "k_all", "v_product", "projected_product", "head"}


def test_a_sum_that_reads_a_float_tensor_stays_float(planned: Planned) -> None:
    proto = graphs.build(
        """
        half_float (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,3,3] w1, float[1,4,1,1] w_head>
        {
            features = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1)
            gate = Sigmoid (features)
            sum = Add (features, gate)
            depth = Conv <kernel_shape=[1,1]> (sum, w_head)
        }"""
    )
    plan = planned(proto)
    assert set(grids(plan)) == {"image", "features", "sum"}
    reasons = {line.node: line.reason for line in plan.floats}
    assert reasons["sum"] == "an operand is computed in float"
    assert reasons["gate"] == "scheme u8s8 has no integer Sigmoid"


def test_statistics_serve_every_scheme(store: Store, photos: Photos, scheme: Schemes) -> None:
    for make in (graphs.concat_decoder, graphs.transposed_decoder, graphs.attention_with_nan_guard):
        model = store(make())
        statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
        assert set(statistics.ranges) == set(activation_tensors(model))
        for operators in (CONV, CONV | {"Resize"}, CONV | {"MatMul", "Add"}, CONV | {"Concat", "Transpose", "Reshape"}):
            assert make_plan(model, statistics, scheme(operators=operators)).activations


def test_weights_have_a_scale_per_channel_from_the_largest_magnitude(
    store: Store, photos: Photos, planned: Planned
) -> None:
    proto = graphs.transposed_decoder()
    weights = {c.name: onnx.numpy_helper.to_array(c) for c in proto.graph.initializer}
    lines = {line.tensor: line.grid for line in planned(proto).weights}
    for name, axis in (("w1", 0), ("w2", 1), ("w3", 0), ("w_head", 0)):
        others = tuple(dim for dim in range(4) if dim != axis)
        assert lines[name].axis == axis
        assert lines[name].scale == pytest.approx(np.abs(weights[name]).max(axis=others) / 127, rel=1e-6)
        assert set(lines[name].zero_point) == {0}


def test_seven_bits_keep_to_half_the_range(planned: Planned) -> None:
    proto = graphs.depthwise_block()
    weights = {c.name: onnx.numpy_helper.to_array(c) for c in proto.graph.initializer}
    for line in planned(proto, bits=7).weights:
        stored = line.grid.quantize(weights[line.tensor])
        assert stored.dtype == np.int8
        assert int(np.abs(stored).max()) == 63


def test_per_tensor_weights(planned: Planned) -> None:
    for line in planned(graphs.depthwise_block(), granularity=Granularity.TENSOR).weights:
        assert line.grid.axis is None
        assert len(line.grid.scale) == 1


def test_grouped_transposed_convolutions_share_one_scale(planned: Planned) -> None:
    proto = graphs.build(
        """
        grouped (float[1,3,32,32] image) => (float[1,1,64,64] depth)
        <float[4,3,1,1] w1, float[4,1,2,2] w2, float[1,4,1,1] w_head>
        {
            features = Conv <kernel_shape=[1,1]> (image, w1)
            large = ConvTranspose <kernel_shape=[2,2], strides=[2,2], group=4> (features, w2)
            depth = Conv <kernel_shape=[1,1]> (large, w_head)
        }"""
    )
    lines = {line.tensor: line.grid for line in planned(proto).weights}
    assert lines["w2"].axis is None


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e-9])
def test_a_bias_that_would_overflow_raises_the_scale_of_its_weights(planned: Planned, factor: float) -> None:
    plan = planned(scaled(graphs.depthwise_block(), "w_project", factor))
    weight = next(line for line in plan.weights if line.tensor == "w_project")
    bias = next(line for line in plan.biases if line.tensor == "b_project")
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in graphs.depthwise_block().graph.initializer}
    assert np.all(np.abs(constants["b_project"]) / np.asarray(bias.scale) < 2**31)
    if factor < 1e-9:
        assert "8 scales raised" in str(weight)


def test_biases_have_the_scale_of_the_product(planned: Planned) -> None:
    plan = planned(graphs.depthwise_block())
    weights = {line.node: line.grid.scale for line in plan.weights}
    scale = grids(plan)["expand_act"][0]
    bias = next(line for line in plan.biases if line.node == "depthwise")
    assert bias.scale == pytest.approx([scale * w for w in weights["depthwise"]], rel=1e-6)


def test_symmetric_activations(planned: Planned) -> None:
    chosen = NumberFormat(8, True, True, Granularity.TENSOR)
    assert {zero for _, zero in grids(planned(graphs.residual_block(), activations=chosen)).values()} == {0}


def test_a_plan_can_be_read(planned: Planned) -> None:
    text = str(planned(graphs.depthwise_block()))
    assert text.startswith("scheme u8s8\nimage: uint8 asymmetric per tensor scale=")
    assert "w_depthwise_uneven of depthwise: int8 symmetric per channel 16 scales" in text
    assert "depth (Conv) stays float" in text


def test_tensors_that_were_not_observed_are_named(store: Store, scheme: Schemes) -> None:
    model = store(graphs.residual_block())
    with pytest.raises(QuantizationError, match=r"5 tensors were not observed: stem, act1"):
        make_plan(model, ranges(image=(0, 1)), scheme())


def test_a_scheme_without_a_place_in_the_graph_is_refused(store: Store, scheme: Schemes) -> None:
    with pytest.raises(QuantizationError, match="no integer form for any node"):
        make_plan(store(graphs.residual_block()), ranges(image=(0, 1)), scheme(operators=frozenset({"Gemm"})))


@pytest.mark.parametrize(
    "activations",
    [NumberFormat(7, False, False, Granularity.TENSOR), NumberFormat(8, False, False, Granularity.CHANNEL)],
)
def test_activation_formats_that_qdq_cannot_express_are_refused(
    store: Store, scheme: Schemes, activations: NumberFormat
) -> None:
    with pytest.raises(QuantizationError, match="asks for activations"):
        make_plan(store(graphs.residual_block()), ranges(image=(0, 1)), scheme(activations=activations))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(store: Store, scheme: Schemes, wrong: float) -> None:
    proto = scaled(graphs.residual_block(), "w1", wrong)
    bounds = dict.fromkeys(("image", "stem", "act1", "act2", "conv2", "sum", "depth"), (-1.0, 1.0))
    with pytest.raises(QuantizationError, match="weight w1 of conv1 holds NaN"):
        make_plan(store(proto), ranges(**bounds), scheme())
