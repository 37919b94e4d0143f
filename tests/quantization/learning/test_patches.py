"""Every layer as a product of matrices gives what the executor gives, wherever its windows lie."""

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx_ir.passes.common import ShapeInferencePass

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.quant import QuantPlan, WeightGrid
from depthdeploy.quantization.grids import channel_axis, covering_weight
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.patches import Places
from depthdeploy.quantization.learning.rounded_layers import RoundedLayer, rounded_layers
from depthdeploy.quantization.strip import Strip
from depthdeploy.testing.graph_text import build

FORMAT = NumberFormat(8, True, True, Granularity.CHANNEL)

CASES = {
    "plain": ("[1,3,7,9]", "[4,3,3,3]", "Conv <pads=[1,1,1,1]>"),
    "strided": ("[1,3,7,9]", "[4,3,3,3]", "Conv <strides=[2,3], pads=[0,1,1,0]>"),
    "dilated": ("[1,3,9,9]", "[4,3,3,2]", "Conv <dilations=[2,1], pads=[2,0,2,1]>"),
    "same": ("[1,3,8,7]", "[4,3,3,3]", 'Conv <auto_pad="SAME_UPPER", strides=[2,2]>'),
    "grouped": ("[1,4,7,7]", "[6,2,3,3]", "Conv <group=2, pads=[1,1,1,1]>"),
    "depthwise": ("[1,4,7,7]", "[4,1,3,3]", "Conv <group=4, pads=[1,1,1,1]>"),
    "one axis": ("[1,3,12]", "[4,3,3]", "Conv <pads=[1,1]>"),
    "transposed": ("[1,3,5,6]", "[3,4,2,2]", "ConvTranspose <strides=[2,2]>"),
    "transposed, cropped": (
        "[1,3,5,6]",
        "[3,4,3,3]",
        "ConvTranspose <strides=[2,2], pads=[1,1,0,1], output_padding=[1,0]>",
    ),
    "transposed, grouped": ("[1,4,5,6]", "[4,3,3,2]", "ConvTranspose <group=2, strides=[1,2], dilations=[2,1]>"),
    "gemm": ("[5,6]", "[4,6]", "Gemm <transB=1>"),
    "gemm, not transposed": ("[5,6]", "[6,4]", "Gemm"),
    "matmul": ("[1,5,6]", "[6,4]", "MatMul"),
}


def _graph(entry: str, weight: str, operator: str) -> onnx.ModelProto:
    shape = entry.strip("[]").split(",")
    text = f"one (float[{','.join(shape)}] x) => (float[{','.join('n' for _ in shape)}] y)"
    return build(f"{text} <float{weight} w> {{ y = {operator} (x, w) }}", seed=3)


def _layer(proto: onnx.ModelProto) -> tuple[ir.Model, RoundedLayer, np.ndarray]:
    model = ir.from_proto(proto)
    model.graph.outputs[0].shape = None
    ShapeInferencePass()(model)
    strip = Strip.of(model)
    node = next(one for one in strip.nodes if one.inputs[1] is not None and one.inputs[1].name == "w")
    weight = strip.graph.initializers["w"].const_value
    assert weight is not None
    array = np.array(weight.numpy())
    grid = covering_weight(array, FORMAT, channel_axis(node, array.ndim))
    plan = QuantPlan("test", (), (WeightGrid("y", "w", grid),), (), ())
    layers, left = rounded_layers(strip, plan)
    assert left == ()
    return model, layers[0], array


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_a_product_of_matrices(case: str) -> None:
    model, layer, weight = _layer(_graph(*CASES[case]))
    generator = torch.Generator().manual_seed(0)
    entry = model.graph.inputs[0].shape
    assert entry is not None
    batch = torch.randn((3 * entry.numpy()[0], *entry.numpy()[1:]), generator=generator)
    expected = Executor(model).run({"x": batch})["y"]
    single = (expected.shape[0] // 3, *expected.shape[1:])
    places = Places.of(layer, single, 11, seed=5)
    targets, inputs = places.targets(expected, 4, 3), places.inputs(batch, 4, 3)
    assert targets.shape[0] == inputs.shape[0] == 3 * places.count
    matrix = torch.from_numpy(layer.to_matrix(weight))
    found = torch.einsum("ngk,gok->ngo", inputs.reshape(len(inputs), matrix.shape[0], -1), matrix)
    torch.testing.assert_close(found.reshape(targets.shape), targets, rtol=1e-4, atol=1e-5)
    assert np.array_equal(layer.from_matrix(layer.to_matrix(weight).astype(np.float64)), weight)


def test_positions_differ_between_photographs_and_repeat_with_the_seed() -> None:
    _, layer, _ = _layer(_graph(*CASES["plain"]))
    places = Places.of(layer, (1, 4, 7, 9), 20, seed=5)
    assert np.array_equal(places.on(1), replace(places).on(1))
    assert not np.array_equal(places.on(1), places.on(2))
    assert len(set(places.on(1).tolist())) == 20
    assert Places.of(layer, (1, 4, 7, 9), 1000, seed=5).count == 63


def test_a_weight_of_several_nodes_is_left_alone() -> None:
    proto = build(
        """shared (float[1,3,8,8] x) => (float[1,3,8,8] y) <float[3,3,1,1] w>
        { middle = Conv (x, w)
          y = Conv (middle, w) }"""
    )
    strip = Strip.of(ir.from_proto(proto))
    grid = Grid.covering_channels(np.full(3, -1.0), np.full(3, 1.0), FORMAT, 0)
    plan = QuantPlan("test", (), (WeightGrid("middle", "w", grid), WeightGrid("y", "w", grid)), (), ())
    layers, left = rounded_layers(strip, plan)
    assert layers == ()
    assert left == tuple(f"{name} (its weight is read by several nodes)" for name in ("middle", "y"))
