"""The matrices of resizes against ONNX's reference and against ONNX Runtime."""

import itertools
import warnings
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from depthdeploy.interpolation import Axis, Kernel, is_certain, matrix, nearest

RULES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
Setting = str | int | float

KERNELS: dict[str, tuple[Kernel, dict[str, Setting]]] = {
    "linear": (Kernel(), {}),
    "linear, antialias": (Kernel(antialias=True), {"antialias": 1}),
    "cubic": (Kernel(cubic=True), {}),
    "cubic, antialias": (Kernel(cubic=True, antialias=True), {"antialias": 1}),
    "cubic, inside": (
        Kernel(cubic=True, coefficient=-0.5, exclude_outside=True),
        {"cubic_coeff_a": -0.5, "exclude_outside": 1},
    ),
}

sides = st.integers(1, 20)


def resize(shape: list[int], factors: NDArray[np.generic], **attributes: Setting) -> onnx.ModelProto:
    by_sizes = factors.dtype == np.int64
    inputs = ["x", "", "", "f"] if by_sizes else ["x", "", "f"]
    node = helper.make_node("Resize", inputs, ["y"])
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "g", ends, out, [onnx.numpy_helper.from_array(factors, "f")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def by_onnxruntime(size: int, factors: NDArray[np.generic], **attributes: Setting) -> NDArray[np.float32]:
    """What every element of the height is made of, found with unit vectors."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    model = resize([1, 1, size, size], factors, **attributes)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[NDArray[np.float32]] = session.run(None, {"x": np.eye(size, dtype=np.float32)[None, None]})
    return outputs[0].reshape(-1, size)


def by_reference(x: NDArray[np.float32], resized: int, **attributes: Setting) -> NDArray[np.float32]:
    evaluator = ReferenceEvaluator(resize([x.size], np.array([resized], dtype=np.int64), **attributes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: NDArray[np.float32] = evaluator.run(None, {"x": x})[0]  # type: ignore[index]
    return found


def near_pixels(size: int, resized: int, rule: str) -> bool:
    """Whether a place is a pixel but for a rounding error: the reference then takes the wrong neighbours."""
    scale = resized / size
    places = Axis(size, resized, scale, rule).places()
    shift = 0.0 if rule in ("asymmetric", "align_corners") else 0.5
    rounded = (np.arange(resized) + shift) / scale - shift if rule != "align_corners" else places
    return bool((np.abs(rounded - np.round(places)) < 1e-6).any())


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(size=sides, resized=st.integers(1, 30))
def test_a_matrix_is_what_onnxruntime_and_the_reference_compute(kind: str, rule: str, size: int, resized: int) -> None:
    kernel, attributes = KERNELS[kind]
    said: dict[str, Setting] = {"mode": kind.partition(",")[0], "coordinate_transformation_mode": rule, **attributes}
    found = matrix(Axis(size, resized, resized / size, rule), kernel)
    sizes = np.array([1, 1, resized, size], dtype=np.int64)
    np.testing.assert_allclose(by_onnxruntime(size, sizes, **said), found, atol=2e-5)
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    if resized > 1 and not near_pixels(size, resized, rule):
        np.testing.assert_allclose(by_reference(x, resized, **said), found @ x, atol=1e-4)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("rule", [*RULES, "tf_half_pixel_for_nn"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(size=sides, resized=st.integers(1, 60))
def test_where_neighbours_are_certain_onnxruntime_chooses_them(
    rounding: str, rule: str, size: int, resized: int
) -> None:
    axis = Axis(size, resized, resized / size, rule)
    if size == resized or not is_certain(axis, rounding):  # the same size is a copy by whatever rule
        return
    sizes = np.array([1, 1, resized, size], dtype=np.int64)
    found = by_onnxruntime(size, sizes, mode="nearest", coordinate_transformation_mode=rule, nearest_mode=rounding)
    np.testing.assert_array_equal(found, np.eye(size)[nearest(axis, rounding)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=sides, scale=st.floats(0.2, 4).map(np.float32).map(float), rule=st.sampled_from(RULES))
def test_a_scale_of_its_own_moves_the_places(size: int, scale: float, rule: str) -> None:
    resized = int(np.float32(size) * np.float32(scale))
    if resized < 1 or resized == size or rule == "align_corners":  # where the specification and runtimes differ
        return
    scales = np.array([1, 1, scale, 1], dtype=np.float32)
    found = by_onnxruntime(size, scales, mode="linear", coordinate_transformation_mode=rule)
    np.testing.assert_allclose(found, matrix(Axis(size, resized, scale, rule), Kernel()), atol=2e-5)


@given(size=st.integers(1, 300), resized=st.integers(1, 900), rule=st.sampled_from(("asymmetric", "half_pixel")))
def test_places_of_exact_scales_are_the_nearest_doubles_to_the_fractions(size: int, resized: int, rule: str) -> None:
    shift = Fraction(1, 2) if rule == "half_pixel" else Fraction(0)
    exact = [float((x + shift) * Fraction(size, resized) - shift) for x in range(resized)]
    for scale in (resized / size, float(np.float32(resized / size))):
        assert Axis(size, resized, scale, rule).places().tolist() == exact


def test_a_neighbour_on_an_edge_that_32_bits_cannot_tell_is_not_certain() -> None:
    found = [
        (size, resized)
        for size, resized in itertools.product(range(1, 13), range(1, 30))
        if not is_certain(Axis(size, resized, resized / size, "asymmetric"), "round_prefer_floor")
    ]
    assert 0 < len(found) < 5
    assert all(resized % size for size, resized in found)


@given(size=sides, factor=st.integers(1, 32))
def test_by_whole_factors_asymmetric_rounded_down_repeats(size: int, factor: int) -> None:
    axis = Axis(size, size * factor, float(factor), "asymmetric")
    assert is_certain(axis, "floor")
    assert nearest(axis, "floor").tolist() == np.repeat(np.arange(size), factor).tolist()


@settings(deadline=None)
@given(size=sides, resized=st.integers(1, 40), kind=st.sampled_from(sorted(KERNELS)), rule=st.sampled_from(RULES))
def test_rows_add_up_to_one(size: int, resized: int, kind: str, rule: str) -> None:
    rows = matrix(Axis(size, resized, resized / size, rule), KERNELS[kind][0]).sum(axis=1)
    np.testing.assert_allclose(rows, 1, atol=1e-12)


def test_a_crop_takes_a_part_and_knows_what_lies_beyond() -> None:
    axis = Axis(5, 5, 1.0, "tf_crop_and_resize", (0.5, 1.5))
    assert axis.places().tolist() == [2, 3, 4, 5, 6]
    assert axis.outside().tolist() == [False, False, False, True, True]
    assert Axis(5, 1, 0.2, "tf_crop_and_resize", (0.0, 1.0)).places().tolist() == [2]
