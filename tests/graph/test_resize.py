"""What is read from a ``Resize``, what is left alone, and that writing says it again."""

import itertools
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.resize import Resizing
from depthdeploy.graph.resize_node import read, resizes, write
from depthdeploy.interpolation import Axis, Kernel
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def graph(attributes: str, inputs: str, constants: str, after: str = "1,2,8,8", before: str = "1,2,4,4") -> ir.Model:
    return ir.from_proto(
        build(
            f"""g (float[{before}] image) => (float[{after}] depth) <{constants}>
            {{ depth = Resize {f"<{attributes}>" if attributes else ""} ({inputs}) }}"""
        )
    )


def reading(attributes: str, inputs: str, constants: str, after: str = "1,2,8,8", before: str = "1,2,4,4") -> Resizing:
    (found,) = [one for _, one in resizes(graph(attributes, inputs, constants, after, before))]
    return found


SIZES = "int64[4] f = {1, 2, 8, 8}"
TWICE = "float[4] f = {1, 1, 2, 2}"


def test_defaults_are_those_of_the_specification() -> None:
    found = reading("", "image, , f", TWICE)
    assert (found.interpolation, found.coordinates, found.rounding) == ("nearest", "half_pixel", "round_prefer_floor")
    assert (found.before, found.after, found.changing) == ((1, 2, 4, 4), (1, 2, 8, 8), (2, 3))
    assert found.kernel == Kernel()
    cubic = reading('mode="cubic"', "image, , f", TWICE)
    assert cubic.kernel == Kernel(cubic=True, coefficient=-0.75)


def test_sizes_and_scales_of_the_same_function_read_alike() -> None:
    third = float(np.float32(8 / 3))
    by_scales = reading('mode="linear"', "image, , f", f"float[4] f = {{1, 1, {third!r}, 2}}", "1,2,8,8", "1,2,3,4")
    by_sizes = reading('mode="linear"', "image, , , f", "int64[4] f = {1, 2, 8, 8}", "1,2,8,8", "1,2,3,4")
    assert by_scales == by_sizes
    assert by_scales.same(by_sizes)


def test_axes_stand_where_they_belong() -> None:
    both = reading('mode="linear", axes=[3,2]', "image, , f", "float[2] f = {3, 2}", "1,2,8,12")
    assert both.after == (1, 2, 8, 12)
    assert reading('mode="linear", axes=[-1]', "image, , f", "float[1] f = {3}", "1,2,4,12").changing == (3,)


@pytest.mark.parametrize(("policy", "after", "scale"), [("not_larger", (7, 7), 7 / 4), ("not_smaller", (8, 8), 2.0)])
def test_one_scale_keeps_the_aspect(policy: str, after: tuple[int, int], scale: float) -> None:
    attributes = f'mode="linear", axes=[2,3], keep_aspect_ratio_policy="{policy}"'
    found = reading(attributes, "image, , , f", "int64[2] f = {7, 8}", f"1,2,{after[0]},{after[1]}")
    assert found.after[2:] == after
    assert [axis.scale for axis in found.axes[2:]] == [scale, scale]


def test_a_crop_has_its_part() -> None:
    part = "float[8] r = {0, 0, 0.25, 0.5, 1, 1, 0.75, 1}, " + SIZES
    found = reading('mode="linear", coordinate_transformation_mode="tf_crop_and_resize"', "image, r, , f", part)
    assert [axis.roi for axis in found.axes] == [(0, 1), (0, 1), (0.25, 0.75), (0.5, 1)]
    assert found.is_definite
    beyond = reading('mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.0',
                     "image, r, , f", part.replace("0.75", "1.75"))  # fmt: skip
    assert not beyond.is_definite
    assert beyond.extrapolation == 7


def test_a_crop_to_the_same_size_changes_the_map() -> None:
    part = "float[8] r = {0, 0, 0, 0.5, 1, 1, 1, 1}, int64[4] f = {1, 2, 4, 4}"
    rule = 'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"'
    found = reading(rule, "image, r, , f", part, "1,2,4,4")
    assert found.changing == (3,)
    np.testing.assert_allclose(found.matrix(3) @ np.arange(4), [1.5, 2, 2.5, 3])


@pytest.mark.parametrize(
    ("attributes", "scale", "after"),
    [
        ('mode="linear", coordinate_transformation_mode="align_corners"', 0.6, "1,2,2,4"),  # 4 * 0.6 is broken
        ('mode="linear"', 1.2, "1,2,4,4"),  # some take it for a copy
    ],
)
def test_what_runtimes_compute_apart_is_not_definite(attributes: str, scale: float, after: str) -> None:
    found = reading(attributes, "image, , f", f"float[4] f = {{1, 1, {scale}, 1}}", after)
    assert not found.is_definite
    assert not found.same(found)


def test_a_neighbour_that_hangs_on_a_rounding_error_is_not_definite() -> None:
    found = [
        Resizing((Axis(size, resized, resized / size, "half_pixel"),), "nearest", Kernel(), "ceil").is_definite
        for size, resized in itertools.product(range(1, 13), range(1, 30))
    ]
    assert 0 < found.count(False) < 10


def unreadable(text: str, opset: int = 18) -> None:
    assert list(resizes(ir.from_proto(build(text, opset=opset)))) == []


def test_what_the_graph_leaves_open_is_not_read() -> None:
    unreadable("""g (float[1,2,4,4] image, float[4] f) => (float[1,2,H,W] depth) { depth = Resize (image, , f) }""")
    unreadable("""g (float[1,2,H,W] image) => (float[1,2,8,8] depth) <int64[4] f = {1, 2, 8, 8}>
                  { depth = Resize (image, , , f) }""")
    unreadable("""g (float[1,2,4,4] image) => (float[1,2,8,8] depth) <float[4] f = {1, 1, 2, 2}>
                  { depth = Resize (image, f) }""", opset=10)  # fmt: skip


def test_a_shape_that_the_graph_contradicts_is_not_read() -> None:
    model = graph("", "image, , f", TWICE)
    node = model.graph[0]
    node.outputs[0].shape = ir.Shape((1, 2, 7, 7))
    assert read(node) is None


def test_a_size_that_hangs_on_a_rounding_error_is_not_read() -> None:
    model = graph("", "image, , f", "float[4] f = {1, 1, 0.8333333, 1}", "1,2,H,W", "1,2,6,6")
    node = model.graph[0]
    scale = float(np.float32(5 / 6))
    assert (int(np.float32(6) * np.float32(scale)), int(6 * scale)) == (5, 4)
    assert read(node) is None


@pytest.mark.parametrize("form", ["sizes", "scales"])
@pytest.mark.parametrize(
    ("attributes", "constants", "after"),
    [
        ("", TWICE, "1,2,8,8"),
        ('mode="cubic", cubic_coeff_a=-0.6, exclude_outside=1', TWICE, "1,2,8,8"),
        ('mode="linear", antialias=1', "float[4] f = {1, 1, 0.5, 0.75}", "1,2,2,3"),
        ('mode="linear"', "float[4] f = {1, 1, 0.6, 1.3}", "1,2,2,5"),
    ],
)
def test_what_is_written_reads_alike(form: str, attributes: str, constants: str, after: str) -> None:
    model = graph(attributes, "image, , f", constants, after)
    before = ir.to_proto(model)
    node, found = next(resizes(model))
    assert write(model, node, found, "sizes" if form == "sizes" else "scales") is True
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert read(node) == found
    assert_same_function(before, model)
    assert len(model.graph.initializers) == 1
    exact = re.search("0.6", constants) is None
    assert (node.inputs[2] is None) == (form == "sizes" and exact)


def test_nothing_is_written_twice() -> None:
    model = graph('mode="linear"', "image, , f", TWICE)
    node, found = next(resizes(model))
    assert write(model, node, found)
    assert not write(model, node, found)


def test_a_constant_that_others_read_stays() -> None:
    model = ir.from_proto(
        build(
            """g (float[1,2,4,4] image) => (float[1,2,8,8] depth, float[4] also) <float[4] f = {1, 1, 2, 2}>
            {
                depth = Resize (image, , f)
                also = Identity (f)
            }"""
        )
    )
    node, found = next(resizes(model))
    assert write(model, node, found)
    assert set(model.graph.initializers) == {"f", "depth_sizes"}


def test_stages_are_the_same_when_their_product_is() -> None:
    one = reading('mode="linear", coordinate_transformation_mode="asymmetric"', "image, , f", TWICE)
    fourfold = one.with_sizes((1, 2, 16, 16))
    assert fourfold.same(one, one.after_sizes((1, 2, 8, 8)).with_sizes((1, 2, 16, 16)))
    halves = fourfold.with_rule("half_pixel")
    first = one.with_rule("half_pixel")
    assert not halves.same(first, first.after_sizes((1, 2, 8, 8)).with_sizes((1, 2, 16, 16)))
