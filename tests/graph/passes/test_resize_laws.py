"""Every pass over resizes keeps the function: on ONNX's own cases, on the tiny graphs, and for all sizes and rules."""

import functools
import math
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthdeploy.core.target import ApproximatePass, GraphPass
from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.passes.resize_approximation import ResizeApproximation
from depthdeploy.graph.passes.resize_as_conv_transpose import ResizeAsConvTranspose
from depthdeploy.graph.passes.resize_as_matmul import ResizeAsMatMul
from depthdeploy.graph.passes.resize_as_repeat import ResizeAsRepeat
from depthdeploy.graph.passes.resize_explicit import ResizeExplicit
from depthdeploy.graph.passes.resize_integer_factor import ResizeIntegerFactor
from depthdeploy.graph.passes.resize_stages import ResizeStages
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, assert_same_function, outputs

Array = NDArray[np.generic]

PASSES: tuple[GraphPass, ...] = (
    ResizeExplicit(),
    ResizeExplicit("scales"),
    ResizeIntegerFactor(),
    ResizeIntegerFactor("scales"),
    ResizeStages(2),
    ResizeStages(3, "scales"),
    ResizeStages(5),
    ResizeAsMatMul(128, ("nearest", "linear", "cubic")),
    ResizeAsRepeat(),
    ResizeAsConvTranspose(("nearest", "linear", "cubic")),
)
APPROXIMATE: tuple[ApproximatePass, ...] = (ResizeApproximation("asymmetric"), ResizeApproximation("half_pixel"))

RULES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric",
         "tf_half_pixel_for_nn")  # fmt: skip
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
KINDS = (*(f'mode="nearest", nearest_mode="{one}"' for one in ROUNDINGS), 'mode="linear"', 'mode="cubic"',
         'mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1', 'mode="linear", antialias=1')  # fmt: skip


def content(model: ir.Model) -> bytes:
    return bytes(as_proto(model).SerializeToString(deterministic=True))


def rewritten(one: GraphPass, proto: onnx.ModelProto) -> ir.Model:
    """The graph after a pass that says rightly whether it changed it, and that has nothing left to do."""
    model = ir.from_proto(proto)
    before = content(model)
    changed = one(model)
    assert changed == (content(model) != before)
    onnx.checker.check_model(as_proto(model), full_check=True)
    after = content(model)
    assert not one(model)
    assert content(model) == after
    return model


def named(one: GraphPass) -> str:
    return repr(one).partition("name=")[0]


@pytest.mark.parametrize("one", PASSES, ids=named)
@pytest.mark.parametrize("name", graphs.all_graphs())
def test_a_pass_keeps_the_function_of_every_graph(one: GraphPass, name: str) -> None:
    proto = graphs.all_graphs()[name]
    assert_same_function(proto, rewritten(one, proto))


@functools.cache
def cases() -> dict[str, tuple[onnx.ModelProto, NDArray[np.float32], NDArray[np.float32]]]:
    """ONNX's cases of ``Resize``: the model with all inputs constant but the first, that input, and what comes out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        collected = collect_testcases(None)  # asked for one operator it would register no other, for everybody
    found = {}
    for case in collected:
        if case.model is None or [node.op_type for node in case.model.graph.node] != ["Resize"]:
            continue
        assert case.data_sets is not None
        (image, *settings_), (expected,) = case.data_sets[0]
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        for value, array in zip(list(model.graph.input)[1:], settings_, strict=True):
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
            model.graph.input.remove(value)
        found[case.name] = model, np.asarray(image), np.asarray(expected)
    return found


def run(model: onnx.ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32] | None:
    try:
        return outputs(model, image)[0]
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        return None


def test_onnx_has_cases() -> None:
    assert len(cases()) >= 39


@pytest.mark.parametrize("one", PASSES, ids=named)
@pytest.mark.parametrize("name", cases())
def test_a_right_case_of_onnx_stays_right(one: GraphPass, name: str) -> None:
    model, image, expected = cases()[name]
    before, after = run(model, image), run(as_proto(rewritten(one, model)), image)
    assert before is not None
    assert after is not None
    right = before.shape == expected.shape and np.allclose(before, expected, atol=1e-5)
    np.testing.assert_allclose(after, expected if right else before, atol=1e-5, rtol=1e-5)


def test_onnxruntime_computes_onnxs_cases_but_for_the_broken_size() -> None:
    """``align_corners`` by a scale of 0.6: the specification divides by 2.4, runtimes by 2."""
    wrong = {
        name
        for name, (model, image, expected) in cases().items()
        if (found := run(model, image)) is None or not np.allclose(found, expected, atol=1e-5)
    }
    assert wrong <= {"test_resize_downsample_scales_cubic_align_corners",
                     "test_resize_downsample_scales_linear_align_corners"}  # fmt: skip


sides = st.integers(1, 20)


def grown(size: int) -> st.SearchStrategy[int]:
    """A size of the result: by a whole factor, by one between corners, or by any."""
    factors = st.integers(1, 9)
    corners = factors.map(lambda k: (size - 1) * k + 1)
    return st.one_of(factors.map(lambda k: size * k), corners, st.integers(1, 60))


@st.composite
def resizes(draw: st.DrawFn) -> onnx.ModelProto:
    """A graph of one resize, its sizes given as sizes or as scales, of all axes or of the last two."""
    height, width = draw(sides), draw(sides)
    tall, wide = draw(grown(height)), draw(grown(width))
    rule, kind = draw(st.sampled_from(RULES)), draw(st.sampled_from(KINDS))
    axes = draw(st.sampled_from(("", ", axes=[2,3]", ", axes=[3,2]")))
    by_sizes = draw(st.booleans())
    numbers = [tall, wide] if by_sizes else [float(np.float32(tall / height)), float(np.float32(wide / width))]
    if not by_sizes:
        sizes = [math.floor(a * b) for a, b in zip((height, width), numbers, strict=True)]
        assume(sizes == [tall, wide])  # the floor of 6 * 0.8333333 is 4
    whole = [1, 2, *numbers] if by_sizes else [1, 1, *numbers]
    factors = {"": whole, ", axes=[2,3]": numbers, ", axes=[3,2]": numbers[::-1]}[axes]
    constant = f"int64[{len(factors)}]" if by_sizes else f"float[{len(factors)}]"
    kept = ", ".join(map(repr, factors if by_sizes else map(float, factors)))
    inputs = "image, , , f" if by_sizes else "image, , f"
    return build(
        f"""g (float[1,2,{height},{width}] image) => (float[1,2,{tall},{wide}] depth) <{constant} f = {{{kept}}}>
        {{
            depth = Resize <{kind}, coordinate_transformation_mode="{rule}"{axes}> ({inputs})
        }}"""
    )


@pytest.mark.parametrize("one", PASSES, ids=named)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(proto=resizes())
def test_a_pass_keeps_the_function_of_any_resize(one: GraphPass, proto: onnx.ModelProto) -> None:
    model = rewritten(one, proto)
    assert_same_function(proto, model, atol=5e-5, rtol=0)
    for node in model.graph:
        assert all(value.dtype is not None and static_shape(value) is not None for value in node.outputs)
        assert str(node.name).startswith("depth")


@pytest.mark.parametrize("one", APPROXIMATE, ids=named)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(proto=resizes())
def test_an_approximation_keeps_sizes_and_leaves_other_interpolations_alone(
    one: ApproximatePass, proto: onnx.ModelProto
) -> None:
    model = rewritten(one, proto)
    if "linear" not in str(proto.graph.node[0]):
        assert_same_function(proto, model)
    shapes = [outputs(graph, np.zeros(static_shape(model.graph.inputs[0]) or (), np.float32))[0].shape
              for graph in (proto, as_proto(model))]  # fmt: skip
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("one", APPROXIMATE, ids=named)
@pytest.mark.parametrize("name", graphs.all_graphs())
def test_an_approximation_leaves_a_valid_graph(one: ApproximatePass, name: str) -> None:
    rewritten(one, graphs.all_graphs()[name])
