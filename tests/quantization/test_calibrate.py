"""Calibration: what is observed, streaming, and activations that are not finite."""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import Statistics
from depthdeploy.errors import CalibrationError, QuantizationError, UsageError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.calibrate import activation_tensors, observe, require_enough
from depthdeploy.quantization.distance import layers_behind
from depthdeploy.quantization.observers import Entropy, MinMax, Moving, Mse, Observer, Percentile
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Photos = list[NDArray[np.float32]]


def observed(model: OnnxModel, photos: Photos, observer: Observer) -> Statistics:
    form = NumberFormat(8, False, False, Granularity.TENSOR)
    return observe(
        model, photos, observer=observer, calibration_digest="d", images=len(photos), number_format=form, unclipped=-1
    )


def activations(model: OnnxModel, names: tuple[str, ...], photos: Photos) -> dict[str, NDArray[np.float32]]:
    """Every named tensor over all photographs, run with further outputs and without optimisation."""
    proto = onnx.load(model.path)
    del proto.graph.output[:]
    inner = [name for name in names if name != model.input.name]
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inner)
    path = model.path.with_suffix(".all.onnx")
    onnx.save(proto, path)
    session = OnnxSession(path, exact=True)
    runs = [session.run(photo, inner) for photo in photos]
    found = {name: np.stack([np.asarray(run[i], np.float32) for run in runs]) for i, name in enumerate(inner)}
    return {model.input.name: np.stack(photos), **found}


def test_what_could_need_a_grid(store: Store) -> None:
    names = activation_tensors(store(graphs.residual_block()))
    assert names == ("image", "stem", "act1", "act2", "conv2", "sum", "depth")


def test_tensors_that_hold_the_values_of_others_are_left_out(store: Store) -> None:
    names = activation_tensors(store(graphs.concat_decoder()))
    assert names == ("image", "skip", "deep", "act3", "depth")


def test_min_max_is_that_of_the_activations(store: Store, photos: Photos) -> None:
    model = store(graphs.depthwise_block())
    statistics = observed(model, photos, MinMax())
    expected = activations(model, tuple(statistics.ranges), photos)
    assert statistics.observer == "minmax"
    assert (statistics.images, statistics.calibration_digest) == (8, "d")
    for name, found in statistics.ranges.items():
        low = 0.0 if name.endswith("_act") else expected[name].min()
        assert (found.low, found.high) == pytest.approx((low, expected[name].max()), rel=1e-4, abs=1e-5)
        assert found.samples == 8


def test_percentiles_are_those_of_the_activations(store: Store, photos: Photos) -> None:
    model = store(graphs.residual_block())
    statistics = observed(model, photos, Percentile(99.5))
    expected = activations(model, tuple(statistics.ranges), photos)
    for name, found in statistics.ranges.items():
        bounds = np.percentile(expected[name], [0.5, 99.5])
        width = 4 * float(np.abs(expected[name]).max()) / 4096
        assert (found.low, found.high) == pytest.approx(tuple(bounds), abs=width)


OBSERVERS = [MinMax(), Moving(), Percentile(), Entropy(), Mse()]


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda observer: observer.name)
def test_the_result_does_not_depend_on_timing(store: Store, photos: Photos, observer: Observer) -> None:
    model = store(graphs.concat_decoder())
    assert observed(model, photos, observer) == observed(model, photos, observer)


def test_photographs_are_read_as_they_are_needed(store: Store, photos: Photos) -> None:
    produced, done, ahead = 0, 0, 0

    def stream() -> Iterator[NDArray[np.float32]]:
        nonlocal produced, ahead
        for photo in photos * 8:
            produced += 1
            ahead = max(ahead, produced - done)
            yield photo

    def progress(finished: int, total: int) -> None:
        nonlocal done
        assert total == 64
        assert finished == done + 1
        done = finished

    observe(
        store(graphs.residual_block()), stream(),
        observer=MinMax(), calibration_digest="", images=64, progress=progress,
    )  # fmt: skip
    assert done == 64
    assert ahead <= 6


@pytest.mark.parametrize("observer", [MinMax(), Percentile()], ids=lambda observer: observer.name)
def test_nan_names_the_tensor_and_the_photograph(store: Store, photos: Photos, observer: Observer) -> None:
    proto = graphs.build(
        """
        with_root (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,3,3] w1, float[1,4,1,1] w_head>
        {
            features = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1)
            root = Sqrt (features)
            depth = Conv <kernel_shape=[1,1]> (root, w_head)
        }"""
    )
    with pytest.raises(QuantizationError, match=r"activation root is NaN or infinite on photograph 0 "):
        observed(store(proto), photos, observer)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_photograph_that_is_not_finite_is_named(store: Store, photos: Photos, wrong: float) -> None:
    photos[5][0, 1, 3, 3] = wrong
    with pytest.raises(QuantizationError, match="activation image is NaN or infinite on photograph 5"):
        observed(store(graphs.residual_block()), photos, MinMax())


def test_an_activation_that_is_always_zero_is_allowed(store: Store, photos: Photos) -> None:
    proto = graphs.residual_block()
    for constant in proto.graph.initializer:
        if constant.name in ("w_stem", "b_stem"):
            zeros = np.zeros(tuple(constant.dims), np.float32)
            constant.CopyFrom(onnx.numpy_helper.from_array(zeros, constant.name))
    statistics = observed(store(proto), photos, MinMax())
    assert (statistics.ranges["stem"].low, statistics.ranges["stem"].high) == (0.0, 0.0)


def test_no_photograph_or_a_wrong_count_is_an_error(store: Store, photos: Photos) -> None:
    model = store(graphs.residual_block())
    with pytest.raises(CalibrationError, match="0 photographs"):
        observed(model, [], MinMax())
    with pytest.raises(CalibrationError, match="8 photographs were read where 9"):
        observe(model, photos, observer=MinMax(), calibration_digest="", images=9)


def large(store: Store) -> OnnxModel:
    """A network whose first tensors are large enough to be sampled."""
    return store(graphs.residual_block(height=96, width=96))


def test_large_tensors_are_sampled_and_their_extremes_are_exact(store: Store) -> None:
    model = large(store)
    rng = np.random.default_rng(3)
    photos = [rng.standard_normal((1, 3, 96, 96)).astype(np.float32) for _ in range(3)]
    expected = activations(model, ("image", "stem", "conv2", "sum"), photos)
    assert expected["stem"][0].size >= 1 << 15
    extremes, median = observed(model, photos, Percentile(100.0)), observed(model, photos, Percentile(90.0))
    for name in ("stem", "conv2", "sum"):
        found = extremes.ranges[name]
        assert (found.low, found.high) == pytest.approx((expected[name].min(), expected[name].max()), rel=1e-4)
        every_third = np.percentile(expected[name][..., ::3, ::3], [10, 90])
        assert (median.ranges[name].low, median.ranges[name].high) == pytest.approx(tuple(every_third), abs=0.01)


def test_before_the_output_nothing_is_clipped(store: Store, photos: Photos) -> None:
    model = store(graphs.residual_block())
    behind = layers_behind(topology.load(model).graph)
    assert (behind["depth"], behind["sum"], behind["conv2"], behind["act2"]) == (0, 1, 1, 2)
    observer = Percentile(80.0)
    statistics = observe(model, photos, observer=observer, calibration_digest="", images=8, unclipped=1)
    clipped, whole = observed(model, photos, observer), observed(model, photos, MinMax())
    assert statistics.observer == "percentile(80), usual-minmax at the output"
    assert clipped.observer == "percentile(80)"
    for name, found in statistics.ranges.items():
        expected = (whole if behind[name] <= 1 else clipped).ranges[name]
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-5)
    assert clipped.ranges["sum"].high < statistics.ranges["sum"].high


def test_constant_activations_are_named(store: Store, photos: Photos) -> None:
    proto = graphs.build(
        """
        with_constant (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[4,3,3,3] w1, float[4,3,3,3] w_still, float[4] b_still, float[1,4,1,1] w_head, float[1] b_head>
        {
            still = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w_still, b_still)
            lively = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1)
            sum = Add (still, lively)
            depth = Conv <kernel_shape=[1,1]> (sum, w_head, b_head)
        }"""
    )
    for constant in proto.graph.initializer:
        if constant.name.endswith("_still"):
            filler = 0.0 if constant.name[0] == "w" else 2.5
            constant.CopyFrom(onnx.numpy_helper.from_array(np.full(constant.dims, filler, np.float32), constant.name))
    for observer in (MinMax(), Mse()):
        statistics = observed(store(proto), photos, observer)
        assert statistics.constant == ("still",)
        found = statistics.ranges["still"]
        grid = Grid.covering(found.low, found.high, NumberFormat(8, False, False, Granularity.TENSOR))
        value = np.full(1, 2.5, np.float32)
        np.testing.assert_allclose(grid.dequantize(grid.quantize(value)), value, rtol=1e-6)


@pytest.mark.parametrize("observer", [Entropy(), Mse()], ids=lambda observer: observer.name)
def test_what_weighs_rounding_needs_the_format(store: Store, photos: Photos, observer: Observer) -> None:
    with pytest.raises(UsageError, match="needs the number format"):
        observe(store(graphs.residual_block()), photos, observer=observer, calibration_digest="", images=8)


def test_too_few_photographs() -> None:
    require_enough(64, 64, allowed=False)
    require_enough(1, 64, allowed=True)
    with pytest.raises(CalibrationError, match="There are 63 calibration photographs, and 64 are enough"):
        require_enough(63, 64, allowed=False)
    with pytest.raises(CalibrationError, match="There is one calibration photograph, and 64"):
        require_enough(1, 64, allowed=False)
    with pytest.raises(CalibrationError, match="no calibration photograph"):
        require_enough(0, 1, allowed=True)
