"""A resize says everything that it means, once."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from depthdeploy.graph.passes.resize_explicit import ResizeExplicit
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def explicit(attributes: str, inputs: str, constants: str, after: str, form: str = "sizes") -> ir.Node:
    proto = build(
        f"""g (float[1,2,4,6] image) => (float[{after}] depth) <{constants}>
        {{ depth = Resize {f"<{attributes}>" if attributes else ""} ({inputs}) }}"""
    )
    model = ir.from_proto(proto)
    ResizeExplicit("sizes" if form == "sizes" else "scales")(model)
    assert_same_function(proto, model)
    return model.graph[0]


def said(node: ir.Node) -> dict[str, object]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def given(node: ir.Node) -> list[object]:
    return [None if v is None or v.const_value is None else v.const_value.numpy().tolist() for v in node.inputs[1:]]


TWICE = "float[4] f = {1, 1, 2, 2}"


def test_defaults_are_said() -> None:
    node = explicit("", "image, , f", TWICE, "1,2,8,12")
    assert said(node) == {
        "mode": "nearest",
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "round_prefer_floor",
    }
    assert given(node) == [None, None, [1, 2, 8, 12]]


def test_a_cubic_coefficient_is_said() -> None:
    node = explicit('mode="cubic"', "image, , f", TWICE, "1,2,8,12")
    assert said(node)["cubic_coeff_a"] == -0.75


def test_what_means_nothing_goes() -> None:
    attributes = 'mode="linear", nearest_mode="floor", cubic_coeff_a=-0.5, antialias=0, extrapolation_value=3.0'
    node = explicit(
        f'{attributes}, keep_aspect_ratio_policy="stretch", axes=[3,2]',
        "image, r, , f",
        "float[0] r = {}, int64[2] f = {12, 8}",
        "1,2,8,12",
    )
    assert said(node) == {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    assert given(node) == [None, None, [1, 2, 8, 12]]


def test_scales_are_given_where_they_are_asked_for() -> None:
    node = explicit('mode="linear"', "image, , , f", "int64[4] f = {1, 2, 8, 9}", "1,2,8,9", "scales")
    assert given(node) == [None, [1, 1, 2, 1.5]]


def test_scales_that_some_runtime_would_round_to_another_size_are_not_given() -> None:
    node = explicit('mode="linear"', "image, , , f", "int64[4] f = {1, 2, 8, 5}", "1,2,8,5", "scales")
    assert given(node) == [None, None, [1, 2, 8, 5]]  # the floor of 6 * 0.8333333 is 4


def test_a_scale_that_is_not_that_of_the_sizes_stays() -> None:
    node = explicit('mode="linear"', "image, , f", "float[4] f = {1, 1, 0.6, 1}", "1,2,2,6")
    assert given(node)[1] is not None
    assert len(node.inputs) == 3


@pytest.mark.parametrize(
    ("rule", "after", "plain"),
    [
        ("pytorch_half_pixel", "1,2,8,12", "half_pixel"),
        ("pytorch_half_pixel", "1,2,1,12", "pytorch_half_pixel"),  # a side of one pixel is its first one
        ("half_pixel_symmetric", "1,2,8,12", "half_pixel"),
        ("align_corners", "1,2,8,12", "align_corners"),
        ("asymmetric", "1,2,8,12", "asymmetric"),
        ("tf_half_pixel_for_nn", "1,2,8,12", "tf_half_pixel_for_nn"),
    ],
)
def test_rare_rules_become_common_ones_where_they_are_equal(rule: str, after: str, plain: str) -> None:
    node = explicit(
        f'mode="linear", coordinate_transformation_mode="{rule}"',
        "image, , , f",
        f"int64[4] f = {{{after}}}",
        after,
    )
    assert said(node)["coordinate_transformation_mode"] == plain


def test_the_half_pixel_of_nearest_neighbours_rounded_down_is_asymmetric_by_whole_factors() -> None:
    attributes = 'mode="nearest", nearest_mode="floor", coordinate_transformation_mode="tf_half_pixel_for_nn"'
    node = explicit(attributes, "image, , f", TWICE, "1,2,8,12")
    assert said(node)["coordinate_transformation_mode"] in ("half_pixel", "asymmetric")


def test_a_crop_of_everything_is_a_resize_by_corners() -> None:
    attributes = 'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"'
    constants = "float[8] r = {0, 0, 0, 0, 1, 1, 1, 1}, int64[4] f = {1, 2, 8, 12}"
    node = explicit(attributes, "image, r, , f", constants, "1,2,8,12")
    assert said(node) == {"mode": "linear", "coordinate_transformation_mode": "align_corners"}


def test_a_crop_keeps_its_part() -> None:
    attributes = 'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"'
    constants = "float[4] r = {0.25, 0.5, 0.75, 1.5}, int64[2] f = {8, 12}"
    node = explicit(attributes + ", axes=[2,3]", "image, r, , f", constants, "1,2,8,12")
    assert said(node)["coordinate_transformation_mode"] == "tf_crop_and_resize"
    assert said(node)["extrapolation_value"] == 0
    assert given(node)[0] == [0, 0, 0.25, 0.5, 1, 1, 0.75, 1.5]


def test_an_identity_goes() -> None:
    proto = build(
        """g (float[1,2,4,6] image) => (float[1,2,4,6] depth) <int64[4] f = {1, 2, 4, 6}>
        {
            act = Relu (image)
            same = Resize <mode="cubic", coordinate_transformation_mode="align_corners"> (act, , , f)
            depth = Neg (same)
        }"""
    )
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert ResizeExplicit()(model)
    assert [node.op_type for node in model.graph] == ["Relu", "Neg"]
    assert_same_function(proto, model)


def test_attributes_are_said_though_the_sizes_are_unknown() -> None:
    proto = build(
        """g (float[1,2,H,W] image) => (float[1,2,Y,X] depth) <float[4] f = {1, 1, 2, 2}>
        { depth = Resize <mode="linear"> (image, , f) }"""
    )
    model = ir.from_proto(proto)
    assert ResizeExplicit()(model)
    assert not ResizeExplicit()(model)
    assert said(model.graph[0]) == {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


def upsample(mode: str, scale: float, height: int, opset: int) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, 4, 6])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 2, height, 18])
    factors = onnx.numpy_helper.from_array(np.array([1, 1, scale, 3], np.float32), "f")
    node = helper.make_node("Upsample", ["image", "f"], ["depth"], name="depth")
    node.attribute.append(helper.make_attribute("mode", mode))
    graph = helper.make_graph([node], "g", [image], [depth], [factors])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample_becomes_resize(mode: str) -> None:
    """Opset 18 has no ``Upsample``: the same graph of opset 9 says what it computes."""
    model = ir.from_proto(upsample(mode, 2, 8, opset=18))
    assert ResizeExplicit()(model)
    assert not ResizeExplicit()(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert model.graph[0].op_type == "Resize"
    assert_same_function(upsample(mode, 2, 8, opset=9), model)


def test_an_upsample_that_shrinks_is_left_alone() -> None:
    assert not ResizeExplicit()(ir.from_proto(upsample("nearest", 0.5, 2, opset=18)))


def test_a_parser_that_reads_every_rule_as_half_pixel_finds_the_one_that_is_meant() -> None:
    """The rule of opset 10, put into words, changes what such a parser computes."""
    image = np.random.default_rng(0).normal(size=(1, 2, 4, 6)).astype(np.float32)
    proto = build(
        """g (float[1,2,4,6] image) => (float[1,2,8,12] depth) <float[4] f = {1, 1, 2, 2}>
        { depth = Resize <mode="linear", coordinate_transformation_mode="asymmetric"> (image, , f) }"""
    )
    model = ir.from_proto(proto)
    ResizeExplicit()(model)
    written = ir.to_proto(model)
    session = ort.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": image})
    np.testing.assert_allclose(found[..., ::2, ::2], image, atol=1e-6)
