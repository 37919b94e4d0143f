"""Colour order, layout, bytes and normalisation at the input: the depth of a photograph does not change."""

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.depth import ColorOrder, InputContract, InputForm, Layout, ResizeRule
from depthdeploy.graph.ends import finish_input, prepare_input
from depthdeploy.graph.passes.color_order_reversal import ColorOrderReversal
from depthdeploy.graph.passes.input_bytes import InputBytes
from depthdeploy.graph.passes.input_layout import InputLayout
from depthdeploy.graph.passes.normalization_extraction import extract_normalization
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.imaging.preprocess import camera_frame, preprocess
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, outputs

GRAPHS = graphs.all_graphs()
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

#: What the released MiDaS file looks like: the normalisation stands in the graph.
NORMALISES_INSIDE = """
    inside (float[1,3,16,16] image) => (float[1,1,16,16] depth)
    <float[1,3,1,1] mean = {0.485, 0.456, 0.406}, float[1,3,1,1] std = {0.229, 0.224, 0.225},
     float[1,3,3,3] w, float[1] b>
    {
        centred = Sub (image, mean)
        scaled = Div (centred, std)
        depth = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (scaled, w, b)
    }"""

#: What a TensorFlow model becomes: channels last, transposed at once.
CHANNELS_LAST = """
    last (float[1,16,20,3] image) => (float[1,1,16,20] depth) <float[1,3,3,3] w, float[1] b>
    {
        first = Transpose <perm=[0,3,1,2]> (image)
        depth = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (first, w, b)
    }"""


def photograph(height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def shaped(proto: onnx.ModelProto) -> ir.Model:
    """The graph as canonical graphs are: every value has a shape."""
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def sides(proto: onnx.ModelProto) -> list[int]:
    return [dimension.dim_value for dimension in proto.graph.input[0].type.tensor_type.shape.dim]


def tensor(contract: InputContract) -> np.ndarray:
    if contract.form is InputForm.UINT8:
        return camera_frame(photograph(), contract)
    return preprocess(photograph(), contract)


def assert_same_depth(proto: onnx.ModelProto, before: InputContract, model: ir.Model, after: InputContract) -> None:
    onnx.checker.check_model(as_proto(model), full_check=True)
    shape = model.graph.inputs[0].shape
    assert shape is not None
    assert tuple(shape) == after.shape
    (expected,) = outputs(proto, tensor(before))
    (found,) = outputs(as_proto(model), tensor(after))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize("form", [InputForm.NORMALIZED, InputForm.UINT8], ids=lambda one: one.value)
@pytest.mark.parametrize("layout", Layout, ids=lambda one: one.value)
@pytest.mark.parametrize("color", ColorOrder, ids=lambda one: one.value)
@pytest.mark.parametrize("name", GRAPHS)
def test_every_door_of_every_graph(name: str, form: InputForm, layout: Layout, color: ColorOrder) -> None:
    proto = GRAPHS[name]
    before = InputContract(*sides(proto)[2:], **IMAGENET)  # type: ignore[arg-type]
    wanted = replace(before.recolored(color), form=form, layout=layout)
    model = ir.from_proto(proto)
    after = finish_input(model, prepare_input(model, before, wanted), wanted)
    assert after == wanted
    assert_same_depth(proto, before, model, after)


@pytest.mark.parametrize("resize", ResizeRule, ids=lambda one: one.value)
@pytest.mark.parametrize("layout", Layout, ids=lambda one: one.value)
@pytest.mark.parametrize(("text", "own"), [(NORMALISES_INSIDE, Layout.NCHW), (CHANNELS_LAST, Layout.NHWC)])
def test_foreign_beginnings(text: str, own: Layout, layout: Layout, resize: ResizeRule) -> None:
    proto = build(text)
    height, width = sides(proto)[2:] if own is Layout.NCHW else sides(proto)[1:3]
    before = InputContract(height, width, layout=own, resize=resize)
    wanted = replace(before.recolored(ColorOrder.BGR), form=InputForm.UINT8, layout=layout)
    model = shaped(proto)
    after = finish_input(model, prepare_input(model, before, wanted), wanted)
    assert (after.form, after.layout, after.color) == (InputForm.UINT8, layout, ColorOrder.BGR)
    assert_same_depth(proto, before, model, after)


def test_what_is_wanted_already_changes_nothing() -> None:
    model = ir.from_proto(GRAPHS["residual_block"])
    contract = InputContract(32, 32)
    content = as_proto(model).SerializeToString(deterministic=True)
    assert finish_input(model, prepare_input(model, contract, contract), contract) is contract
    assert as_proto(model).SerializeToString(deterministic=True) == content


def test_a_normalisation_in_the_graph_moves_into_the_contract_as_it_was_written() -> None:
    proto = build(NORMALISES_INSIDE)
    model = shaped(proto)
    before = InputContract(16, 16)
    after = extract_normalization(model, before)
    assert (after.mean, after.std) == (IMAGENET["mean"], IMAGENET["std"])
    assert [node.op_type for node in model.graph] == ["Conv"]
    assert_same_depth(proto, before, model, after)
    assert extract_normalization(model, after) is after


@pytest.mark.parametrize(
    ("chain", "taken"),
    [
        ("a = Mul (image, gain)\n x = Add (a, per)", 2),
        ("a = Add (per, image)\n x = Mul (gain, a)", 2),
        ("a = Div (image, gain)\n x = Sub (a, one)", 2),
        ("a = Sub (image, per)\n x = Mul (a, negative)", 1),
        ("x = Sub (per, image)", 0),
        ("x = Sub (image, column)", 0),
        ("x = Add (image, image)", 0),
    ],
)
def test_what_is_taken_out_of_the_beginning(chain: str, taken: int) -> None:
    proto = build(
        f"""g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <float[3,1,1] gain = {{0.5, 2, 4}}, float[1,3,1,1] per = {{0.1, -0.2, 0.3}}, float one = {{1}},
         float negative = {{-1}}, float[8] column, float[1,3,1,1] w>
        {{ {chain}
           depth = Conv <kernel_shape=[1,1]> (x, w) }}"""
    )
    model = shaped(proto)
    before = InputContract(8, 8, **IMAGENET)  # type: ignore[arg-type]
    after = extract_normalization(model, before)
    assert len(proto.graph.node) - len(model.graph) == taken
    assert (after is before) == (taken == 0)
    assert_same_depth(proto, before, model, after)


def test_reversed_colours_cost_no_operation_where_convolutions_read_the_image() -> None:
    model = ir.from_proto(GRAPHS["residual_block"])
    operators = [node.op_type for node in model.graph]
    assert ColorOrderReversal()(model)
    assert [node.op_type for node in model.graph] == operators


def test_a_transpose_at_the_door_vanishes_and_comes_back() -> None:
    model = ir.from_proto(build(CHANNELS_LAST))
    assert InputLayout(Layout.NCHW)(model)
    assert [node.op_type for node in model.graph] == ["Conv"]
    assert InputLayout(Layout.NHWC)(model)
    assert [node.op_type for node in model.graph] == ["Transpose", "Conv"]


PIXELS_ON_THEIR_GRID = """
    g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
    <float centre = {{114}}, float s = {{{scale}}}, uint8 z = {{{zero}}}, float[1,1,8,8] level, float[1,4,1,1] w>
    {{
        centred = Sub (image, centre)
        q = QuantizeLinear (centred, s, z)
        d = DequantizeLinear (q, s, z)
        joined = Concat <axis=1> (d, level)
        q2 = QuantizeLinear (joined, s, z)
        d2 = DequantizeLinear (q2, s, z)
        depth = Conv <kernel_shape=[1,1]> (d2, w)
    }}"""


@pytest.mark.parametrize(
    ("scale", "zero", "left"),
    [
        (1.0, 114, ["Concat", "DequantizeLinear", "Conv"]),
        (1.0, 113, None),
        (0.5, 114, None),
    ],
)
def test_bytes_are_the_integers_where_the_grid_is_that_of_pixels(
    scale: float, zero: int, left: list[str] | None
) -> None:
    proto = build(PIXELS_ON_THEIR_GRID.format(scale=scale, zero=zero))
    level = next(one for one in proto.graph.initializer if one.name == "level")
    level.CopyFrom(onnx.numpy_helper.from_array(np.full((1, 1, 8, 8), 11, np.float32), "level"))
    model = ir.from_proto(proto)
    assert InputBytes()(model)
    operators = [node.op_type for node in model.graph]
    assert operators == left if left else operators[:3] == ["Cast", "Sub", "QuantizeLinear"]
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)
    (expected,), (found,) = outputs(proto, image.astype(np.float32)), outputs(as_proto(model), image)
    np.testing.assert_array_equal(found, expected)
    assert not InputBytes()(model)
