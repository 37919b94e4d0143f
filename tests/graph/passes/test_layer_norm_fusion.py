"""Layer normalisation is found however it is spelled, and nothing else is taken for it."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.layer_norm_decomposition import LayerNormDecomposition
from depthdeploy.graph.passes.layer_norm_fusion import LayerNormFusion
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function
from depthdeploy.testing.transformer_graphs import block

CENTRE = "mean = ReduceMean (x, last)\ndeviation = Sub (x, mean)"
AGAINST = "mean = ReduceMean (x, last)\nagainst = Sub (mean, x)\ndeviation = Sub (x, mean)"
SQUARE = "square = Mul (deviation, deviation)"
ROOT = "variance = ReduceMean (square, last)\nmore = Add (variance, epsilon)\nroot = Sqrt (more)"
DIVIDE = "norm = Div (deviation, root)"
AFFINE = "gained = Mul (norm, w_gain)\nshifted = Add (gained, shift)"
SUM = "total = ReduceSum (x, last)\nmean = {}\ndeviation = Sub (x, mean)"

SPELLINGS = {
    "plain": (CENTRE, SQUARE, ROOT, DIVIDE, AFFINE),
    "power": (CENTRE, "square = Pow (deviation, two)", ROOT, DIVIDE, AFFINE),
    "power of one number in a list": (CENTRE, "square = Pow (deviation, twos)", ROOT, DIVIDE, AFFINE),
    "reciprocal": (CENTRE, SQUARE, ROOT, "inverse = Reciprocal (root)\nnorm = Mul (inverse, deviation)", AFFINE),
    "one divided": (CENTRE, SQUARE, ROOT, "inverse = Div (one, root)\nnorm = Mul (deviation, inverse)", AFFINE),
    "power of a half": (CENTRE, SQUARE, ROOT.replace("Sqrt (more)", "Pow (more, half)"), DIVIDE, AFFINE),
    "power of minus a half": (
        CENTRE, SQUARE, ROOT.replace("Sqrt (more)", "Pow (more, minus_half)"), "norm = Mul (deviation, root)", AFFINE,
    ),
    "epsilon first": (CENTRE, SQUARE, ROOT.replace("(variance, epsilon)", "(epsilon, variance)"), DIVIDE, AFFINE),
    "epsilon in a list": (CENTRE, SQUARE, ROOT.replace("epsilon)", "epsilons)"), DIVIDE, AFFINE),
    "the mean less the value": (CENTRE.replace("(x, mean)", "(mean, x)"), SQUARE, ROOT, DIVIDE, AFFINE),
    "one sign squared, the other divided": (AGAINST, "square = Mul (against, against)", ROOT, DIVIDE, AFFINE),
    "everything computed twice": (
        CENTRE + "\nmean2 = ReduceMean (x, last)\ndeviation2 = Sub (x, mean2)",
        "square = Mul (deviation2, deviation2)", ROOT, DIVIDE, AFFINE,
    ),
    "factors in the other order": (
        CENTRE, SQUARE, ROOT, DIVIDE, "gained = Mul (w_gain, norm)\nshifted = Add (shift, gained)",
    ),
    "no factors": (CENTRE, SQUARE, ROOT, "shifted = Div (deviation, root)", ""),
    "no shift": (CENTRE, SQUARE, ROOT, DIVIDE, "shifted = Mul (norm, w_gain)"),
    "one factor for all": (CENTRE, SQUARE, ROOT, DIVIDE, "gained = Mul (norm, two)\nshifted = Add (gained, one)"),
    "factors with leading ones": (
        CENTRE, SQUARE, ROOT, DIVIDE, "gained = Mul (norm, wide_gain)\nshifted = Add (gained, shift)",
    ),
    "a factor before": (CENTRE.replace("x", "y"), SQUARE, ROOT, DIVIDE, AFFINE),
    "a sum divided": (SUM.format("Div (total, width)"), SQUARE, ROOT, DIVIDE, AFFINE),
    "a sum times a share": (SUM.format("Mul (share, total)"), SQUARE, ROOT, DIVIDE, AFFINE),
    "positive axes": (CENTRE.replace("last", "second"), SQUARE, ROOT.replace("last", "second"), DIVIDE, AFFINE),
    "a floor under the root": (
        CENTRE, SQUARE, ROOT, "floor = Max (root, tiny)\nnorm = Div (deviation, floor)", AFFINE,
    ),
}  # fmt: skip

OTHERS = {
    "another axis": (CENTRE.replace("last", "first"), SQUARE, ROOT.replace("last", "first"), DIVIDE, AFFINE),
    "two different axes": (CENTRE, SQUARE, ROOT.replace("last", "first"), DIVIDE, AFFINE),
    "a cube": (CENTRE, "square = Pow (deviation, three)", ROOT, "norm = Div (deviation, root)", AFFINE),
    "the square of something else": (CENTRE, "square = Mul (x, x)", ROOT, DIVIDE, AFFINE),
    "a product of two": (CENTRE, "square = Mul (deviation, x)\npositive = Abs (square)",
                         ROOT.replace("(square", "(positive"), DIVIDE, AFFINE),
    "something else divided": (CENTRE, SQUARE, ROOT, "norm = Div (x, root)", AFFINE),
    "upside down": (CENTRE, SQUARE, ROOT, "norm = Div (root, one)", AFFINE),
    "a high floor": (CENTRE, SQUARE, ROOT, "floor = Max (root, one)\nnorm = Div (deviation, floor)", AFFINE),
    "a sum divided by another number": (SUM.format("Div (total, two)"), SQUARE, ROOT, DIVIDE, AFFINE),
}  # fmt: skip


def spelled(parts: tuple[str, ...]) -> onnx.ModelProto:
    return build(
        """g (float[1,6,8] image) => (float[1,6,8] depth)
        <float[8] w_gain, float[8] shift, float[1,1,8] wide_gain, float epsilon = {0.00001},
         float[1] epsilons = {0.001},
         float one = {1}, float two = {2}, float[1] twos = {2}, float three = {3}, float half = {0.5},
         float minus_half = {-0.5}, float width = {8}, float share = {0.125}, float[1] tiny = {0.003},
         int64[1] last = {-1}, int64[1] first = {1}, int64[1] second = {2}>
        {
            x = Neg (image)
            y = Mul (two, x)
            """
        + "\n".join(part for part in parts if part)
        + "\ndepth = Tanh (shifted)\n}"
    )


def fused(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert LayerNormFusion()(model)
    assert not LayerNormFusion()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return model


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("parts", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_becomes_the_operator(parts: tuple[str, ...]) -> None:
    model = fused(spelled(parts))
    assert [kind for kind in kinds(model) if kind != "Mul"] == ["Neg", "LayerNormalization", "Tanh"]


@pytest.mark.parametrize("parts", OTHERS.values(), ids=OTHERS)
def test_what_is_something_else_stays(parts: tuple[str, ...]) -> None:
    model = ir.from_proto(spelled(parts))
    ShapeInference()(model)
    assert not LayerNormFusion()(model)


def test_axes_as_an_attribute_are_read() -> None:
    text = "\n".join(SPELLINGS["plain"]).replace("ReduceMean (x, last)", "ReduceMean <axes=[-1]> (x)")
    text = text.replace("ReduceMean (square, last)", "ReduceMean <axes=[2]> (square)")
    proto = build(
        f"""g (float[1,6,8] image) => (float[1,6,8] depth)
        <float[8] w_gain, float[8] shift, float epsilon = {{0.00001}}>
        {{ x = Neg (image)\n{text}\ndepth = Tanh (shifted) }}""",
        opset=17,
    )
    assert kinds(fused(proto)) == ["Neg", "LayerNormalization", "Tanh"]


@pytest.mark.parametrize("removed", ["epsilon", "keepdims"])
def test_without_epsilon_or_dimensions_it_stays(removed: str) -> None:
    parts: tuple[str, ...] = SPELLINGS["plain"]
    if removed == "epsilon":
        parts = tuple(part.replace("more = Add (variance, epsilon)", "more = Abs (variance)") for part in parts)
    else:
        parts = (CENTRE.replace("(x, last)", "<keepdims=0> (x, last)").replace("(x, mean)", "(x, tall)"), *parts[1:])
        parts = (parts[0].replace("\ndev", "\ntall = Unsqueeze (mean, last)\ndev"), *parts[1:])
    model = ir.from_proto(spelled(parts))
    ShapeInference()(model)
    assert not LayerNormFusion()(model)


def test_what_others_read_stays_for_them() -> None:
    parts = (*SPELLINGS["plain"][:-1], "gained = Mul (norm, w_gain)\nshifted = Add (gained, deviation)")
    model = fused(spelled(parts))
    assert [kind for kind in kinds(model) if kind != "Mul"] == [
        "Neg", "ReduceMean", "Sub", "LayerNormalization", "Add", "Tanh",
    ]  # fmt: skip


def test_a_factor_that_widens_is_no_gain() -> None:
    proto = build(
        """g (float[1,6,8] image) => (float[3,6,8] depth)
        <float[3,1,8] w, float epsilon = {0.00001}, int64[1] last = {-1}>
        {
            mean = ReduceMean (image, last)\ndeviation = Sub (image, mean)\nsquare = Mul (deviation, deviation)
            variance = ReduceMean (square, last)\nmore = Add (variance, epsilon)\nroot = Sqrt (more)
            norm = Div (deviation, root)
            depth = Mul (norm, w)
        }"""
    )
    assert kinds(fused(proto)) == ["LayerNormalization", "Mul"]


def test_the_factor_before_goes_into_epsilon() -> None:
    model = fused(spelled(SPELLINGS["a factor before"]))
    (norm,) = (node for node in model.graph if node.op_type == "LayerNormalization")
    assert norm.attributes["epsilon"].as_float() == pytest.approx(1e-5 / 4)
    assert "Mul" not in kinds(model)


def test_casts_to_float32_around_half_activations_are_the_operators_own() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]>
        g (float16[1,4,8] image) => (float16[1,4,8] depth)
        <float16[8] gain = {15360, 15361, 15362, 15363, 15364, 15365, 15366, 15367}>
        { depth = LayerNormalization (image, gain) }"""
    )
    model = ir.from_proto(proto)
    assert LayerNormDecomposition()(model)
    assert LayerNormFusion()(model)
    assert kinds(model) == ["LayerNormalization"]
    (norm,) = model.graph
    assert norm.inputs[0] is model.graph.inputs[0]
    assert norm.attributes.get_int("stash_type", 1) == 1
    onnx.checker.check_model(as_proto(model), full_check=True)


def test_double_activations_and_older_operator_sets_are_left_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : {opset}]>
        g ({kind}[1,4,8] x) => ({kind}[1,4,8] depth) <{kind} epsilon = {{0.00001}}>
        {{
            mean = ReduceMean <axes=[-1]> (x)\ndeviation = Sub (x, mean)\nsquare = Mul (deviation, deviation)
            variance = ReduceMean <axes=[-1]> (square)\nmore = Add (variance, epsilon)\nroot = Sqrt (more)
            depth = Div (deviation, root)
        }}"""
    for opset, kind, expected in ((17, "double", False), (16, "float", False), (17, "float", True)):
        model = ir.from_proto(onnx.parser.parse_model(text.format(opset=opset, kind=kind)))
        ShapeInference()(model)
        assert LayerNormFusion()(model) == expected


@pytest.mark.parametrize("name", all_graphs())
def test_the_law(name: str) -> None:
    proto = all_graphs()[name]
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert not LayerNormFusion()(model)
    assert_same_function(proto, model)


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("norm_bias", [False, True])
def test_a_block_of_a_transformer_goes_there_and_back(guard: bool, norm_bias: bool) -> None:
    proto = block(norm_bias=norm_bias)
    model = ir.from_proto(proto)
    canonicalize(model)
    before = kinds(model)
    assert LayerNormDecomposition(guard_fp16=guard)(model)
    assert LayerNormFusion()(model)
    assert kinds(model) == before
    assert_same_function(proto, model)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(2, 5), min_size=2, max_size=4).map(lambda sizes: (1, *sizes)),
    data=st.data(),
    epsilon=st.sampled_from([1e-12, 1e-6, 1e-5, 1e-3]),
    bias=st.booleans(),
    guard=st.booleans(),
)
def test_there_and_back_over_axes_ranks_and_epsilon(
    shape: tuple[int, ...], data: st.DataObject, epsilon: float, bias: bool, guard: bool
) -> None:
    axis = data.draw(st.integers(1, len(shape) - 1))
    sizes, inner = ",".join(map(str, shape)), ",".join(map(str, shape[axis:]))
    proto = build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth)
        <float[{inner}] w_gain{f", float[{inner}] shift" if bias else ""}>
        {{
            x = Neg (image)
            norm = LayerNormalization <axis={axis}, epsilon={epsilon:.12f}> (x, w_gain{", shift" if bias else ""})
            depth = Neg (norm)
        }}"""
    )
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert LayerNormDecomposition(guard_fp16=guard)(model)
    again = fused(as_proto(model))
    assert kinds(again) == ["Neg", "LayerNormalization", "Neg"]
    (norm,) = (node for node in again.graph if node.op_type == "LayerNormalization")
    assert norm.attributes["axis"].as_int() == axis - len(shape)
    assert np.isclose(norm.attributes["epsilon"].as_float(), epsilon, rtol=1e-4)
    assert_same_function(proto, again)
