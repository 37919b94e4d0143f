"""Linear resizes by another rule: the same sizes, another function."""

import numpy as np
import onnx_ir as ir
import pytest

from depthdeploy.core.target import ApproximatePass
from depthdeploy.graph.passes.resize_approximation import ResizeApproximation
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import outputs

TO = ("asymmetric", "half_pixel")


def graph(attributes: str, inputs: str = "image, , , f", constants: str = "int64[4] f = {1, 3, 8, 14}") -> ir.Model:
    return ir.from_proto(
        build(
            f"""g (float[1,3,4,7] image) => (float[1,3,8,14] depth) <{constants}>
            {{ depth = Resize <{attributes}> ({inputs}) }}"""
        )
    )


def rule(model: ir.Model) -> str | None:
    return model.graph[0].attributes.get_string("coordinate_transformation_mode")


@pytest.mark.parametrize("to", ["asymmetric", "half_pixel"])
@pytest.mark.parametrize("before", ["align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel"])
def test_every_linear_resize_gets_the_rule(to: str, before: str) -> None:
    one = ResizeApproximation("asymmetric" if to == "asymmetric" else "half_pixel")
    model = graph(f'mode="linear", coordinate_transformation_mode="{before}"')
    assert one(model) == (before != to)
    assert rule(model) == to
    assert one.option == f"resize={to}"
    assert isinstance(one, ApproximatePass)


def test_it_is_the_rule_of_the_same_sizes() -> None:
    model = graph('mode="linear", coordinate_transformation_mode="align_corners"')
    ResizeApproximation("half_pixel")(model)
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 7)).astype(np.float32)
    wanted = graph('mode="linear", coordinate_transformation_mode="half_pixel"')
    found, expected = (outputs(ir.to_proto(one), image)[0] for one in (model, wanted))
    np.testing.assert_array_equal(found, expected)
    corners = graph('mode="linear", coordinate_transformation_mode="align_corners"')
    assert not np.allclose(outputs(ir.to_proto(corners), image)[0], expected, atol=1e-2)


@pytest.mark.parametrize("mode", ["nearest", "cubic"])
def test_other_interpolations_stay(mode: str) -> None:
    assert not ResizeApproximation("asymmetric")(graph(f'mode="{mode}"'))


def test_a_crop_stays() -> None:
    model = graph(
        'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"',
        "image, r, , f",
        "float[8] r = {0, 0, 0, 0, 1, 1, 0.5, 0.5}, int64[4] f = {1, 3, 8, 14}",
    )
    assert not ResizeApproximation("asymmetric")(model)


def test_scales_where_they_are_asked_for() -> None:
    model = graph('mode="linear", coordinate_transformation_mode="align_corners"')
    ResizeApproximation("asymmetric", "scales")(model)
    scales = model.graph[0].inputs[2]
    assert scales is not None
    assert scales.const_value is not None
    assert scales.const_value.numpy().tolist() == [1, 1, 2, 2]


def test_a_scale_of_its_own_becomes_that_of_the_sizes() -> None:
    model = ir.from_proto(
        build(
            """g (float[1,3,4,7] image) => (float[1,3,9,7] depth) <float[4] f = {1, 1, 2.3, 1}>
            { depth = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (image, , f) }"""
        )
    )
    assert ResizeApproximation("half_pixel")(model)
    sizes = model.graph[0].inputs[3]
    assert sizes is not None
    assert sizes.const_value is not None
    assert sizes.const_value.numpy().tolist() == [1, 3, 9, 7]
