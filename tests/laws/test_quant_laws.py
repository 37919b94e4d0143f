"""Laws of grids: what holds for every range, format and array."""

import math
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper

from depthdeploy.core.grid import Granularity, Grid, NumberFormat

FORMATS = [
    NumberFormat(bits, signed, symmetric, Granularity.TENSOR, container)
    for bits, container in ((8, 8), (7, 8), (4, 8), (16, 16))
    for signed in (True, False)
    for symmetric in (True, False)
]
WHOLE_CONTAINER = [
    NumberFormat(8, False, False, Granularity.TENSOR),
    NumberFormat(8, True, False, Granularity.TENSOR),
]

finite = st.floats(-1e4, 1e4, width=32)
formats = st.sampled_from(FORMATS)
values = arrays(np.float32, array_shapes(min_dims=1, max_dims=4, max_side=6), elements=finite)


def covering(x: NDArray[np.float32], number_format: NumberFormat) -> Grid:
    return Grid.covering(float(x.min()), float(x.max()), number_format)


def tolerance(x: NDArray[np.float32], grid: Grid) -> float:
    """Half a step, what the smallest scale leaves uncovered, and the rounding of float32 arithmetic."""
    return grid.scale[0] * 0.5 + float(np.abs(x).max()) * 3e-7 + 1e-9


@given(values, formats)
def test_round_trip_errs_by_at_most_half_a_step_inside_the_range(x: NDArray[np.float32], f: NumberFormat) -> None:
    grid = covering(x, f)
    # The zero point is rounded: at the ends of an asymmetric grid the range may miss up to half a step, no more.
    assert np.all(np.abs(grid.dequantize(grid.quantize(x)) - x) <= tolerance(x, grid) * (1 if f.symmetric else 2))


@given(values, formats)
def test_zero_is_exact(x: NDArray[np.float32], f: NumberFormat) -> None:
    grid = covering(x, f)
    assert not np.any(grid.dequantize(grid.quantize(np.zeros(3, np.float32))))


@given(values, formats, st.floats(1.0, 1e6))
def test_outside_the_range_the_ends_are_taken(x: NDArray[np.float32], f: NumberFormat, beyond: float) -> None:
    grid = covering(x, f)
    far = np.float32(grid.scale[0] * (grid.format.qmax - grid.format.qmin) * (1 + beyond))
    q = grid.quantize(np.array([-far, far], np.float32))
    assert q.tolist() == [f.qmin, f.qmax]


@given(values, formats)
def test_quantizing_keeps_the_order(x: NDArray[np.float32], f: NumberFormat) -> None:
    ordered = np.sort(x.reshape(-1))
    assert np.all(np.diff(covering(x, f).quantize(ordered).astype(np.int64)) >= 0)


@given(values, formats)
def test_integers_stay_in_the_format(x: NDArray[np.float32], f: NumberFormat) -> None:
    q = covering(x, f).quantize(x * 2)
    assert q.dtype == np.dtype(f.dtype)
    assert f.qmin <= int(q.min()) <= int(q.max()) <= f.qmax


@given(finite, finite, formats)
def test_a_covering_grid_reaches_both_bounds(a: float, b: float, f: NumberFormat) -> None:
    low, high = min(a, b), max(a, b)
    grid = Grid.covering(low, high, f)
    ends = grid.dequantize(np.array([f.qmin, f.qmax], f.dtype)).astype(np.float64)
    slack = grid.scale[0] * 0.5 + 3e-7 * max(abs(low), abs(high)) + 1e-9
    assert ends[0] - slack <= low
    assert high <= ends[1] + slack
    if f.symmetric:
        assert grid.zero_point[0] == (0 if f.signed else 1 << (f.bits - 1))


@given(formats)
def test_a_range_of_nothing_has_a_grid_that_holds_zero(f: NumberFormat) -> None:
    grid = Grid.covering(0.0, 0.0, f)
    assert grid.scale[0] > 0
    assert grid.dequantize(grid.quantize(np.zeros(2, np.float32))).tolist() == [0.0, 0.0]


@given(values, formats, st.data())
def test_per_channel_is_per_tensor_channel_by_channel(
    x: NDArray[np.float32], f: NumberFormat, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, x.ndim - 1))
    rows = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    per_channel = Grid.covering_channels(rows.min(axis=1), rows.max(axis=1), f, axis)
    assert per_channel.format == replace(f, granularity=Granularity.CHANNEL)
    found = np.moveaxis(per_channel.quantize(x), axis, 0).reshape(x.shape[axis], -1)
    real = np.moveaxis(per_channel.dequantize(per_channel.quantize(x)), axis, 0).reshape(x.shape[axis], -1)
    for index, row in enumerate(rows):
        grid = covering(row, f)
        np.testing.assert_array_equal(found[index], grid.quantize(row))
        np.testing.assert_array_equal(real[index], grid.dequantize(grid.quantize(row)))


def runtime_pair(grid: Grid, shape: tuple[int, ...]) -> ort.InferenceSession:
    """ONNX Runtime's own QuantizeLinear and DequantizeLinear with a grid's scale and zero point."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(grid.format.dtype))
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], list(grid.scale)),
        helper.make_tensor("zero", kind, [], list(grid.zero_point)),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info("q", kind, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, shape),
    ]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "pair", [entry], ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("number_format", WHOLE_CONTAINER, ids=str)
@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, st.integers(1, 300), elements=finite), finite, finite)
def test_onnx_runtime_rounds_alike_bit_for_bit(
    number_format: NumberFormat, x: NDArray[np.float32], a: float, b: float
) -> None:
    grid = Grid.covering(min(a, b), max(a, b), number_format)
    ties = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)) * np.float32(grid.scale[0])
    every = np.concatenate([x, ties])
    q, y = runtime_pair(grid, every.shape).run(None, {"x": every})
    np.testing.assert_array_equal(q, grid.quantize(every))
    np.testing.assert_array_equal(y, grid.dequantize(grid.quantize(every)))


@pytest.mark.parametrize("exponent", range(-8, 4))
def test_ties_go_to_the_even_integer(exponent: int) -> None:
    number_format = NumberFormat(8, True, True, Granularity.TENSOR)
    scale = math.ldexp(1.0, exponent)
    grid = Grid((scale,), (0,), number_format)
    x = (np.arange(-6, 7, dtype=np.float32) + np.float32(0.5)) * np.float32(scale)
    assert grid.quantize(x).tolist() == [-6, -4, -4, -2, -2, 0, 0, 2, 2, 4, 4, 6, 6]
