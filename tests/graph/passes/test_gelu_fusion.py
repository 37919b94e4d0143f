"""GELU is found by its arithmetic, in any order, and only with its own constants."""

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.gelu_decomposition import GeluDecomposition
from depthdeploy.graph.passes.gelu_fusion import GeluFusion
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function
from depthdeploy.testing.transformer_graphs import block

ERF = "part = Div (x, root)\nact = Erf (part)"
ERF_TIMES = "part = Mul (inverse, x)\nact = Erf (part)"
GATE = "gate = Add (act, one)"
CUBE = "square = Mul (x, x)\ncube = Mul (square, x)\nsmall = Mul (cube, bend)\nsum = Add (small, x)"
TANH = CUBE + "\nargument = Mul (sum, rate)\nact = Tanh (argument)"

SPELLINGS = {
    "halved last": ("none", ERF, GATE, "gated = Mul (x, gate)\ny = Mul (gated, half)"),
    "gate halved": ("none", ERF, GATE, "halved = Mul (half, gate)\ny = Mul (halved, x)"),
    "value halved": ("none", ERF, "gate = Add (one, act)", "halved = Mul (x, half)\ny = Mul (halved, gate)"),
    "divided by two": ("none", ERF_TIMES, GATE, "gated = Mul (x, gate)\ny = Div (gated, two)"),
    "constants in lists": (
        "none", ERF_TIMES, "gate = Add (act, ones)", "gated = Mul (gate, x)\ny = Mul (gated, halves)",
    ),
    "distributed": ("none", ERF, "bent = Mul (act, x)", "wide = Add (x, bent)\ny = Mul (wide, half)"),
    "distributed over the half": (
        "none", ERF, "", "left = Mul (x, half)\nright = Mul (left, act)\ny = Add (left, right)"
    ),
    "a gate of halves": ("none", ERF, "less = Mul (act, half)\ngate = Add (less, half)", "y = Mul (x, gate)"),
    "tangent": ("tanh", TANH, GATE, "gated = Mul (x, gate)\ny = Mul (gated, half)"),
    "tangent of a power": (
        "tanh", TANH.replace("square = Mul (x, x)\ncube = Mul (square, x)", "cube = Pow (x, three)"), GATE,
        "halved = Mul (half, x)\ny = Mul (halved, gate)",
    ),
    "tangent of a factored sum": (
        "tanh",
        """square = Mul (x, x)\nsmall = Mul (bend, square)\nmore = Add (one, small)\nscaled = Mul (x, rate)
           argument = Mul (scaled, more)\nact = Tanh (argument)""",
        GATE, "gated = Mul (x, gate)\ny = Mul (gated, half)",
    ),
    "sigmoid of twice the argument": (
        "tanh", TANH.replace("act = Tanh (argument)", "twice = Mul (argument, two)\nact = Sigmoid (twice)"), "",
        "y = Mul (x, act)",
    ),
}  # fmt: skip

OTHERS = {
    "another root": (ERF.replace("root", "two"), GATE, "gated = Mul (x, gate)\ny = Mul (gated, half)"),
    "another factor": (ERF, GATE, "gated = Mul (x, gate)\ny = Mul (gated, inverse)"),
    "another gate": (ERF, "gate = Add (act, half)", "gated = Mul (x, gate)\ny = Mul (gated, half)"),
    "another value": (ERF, GATE, "other = Abs (x)\ngated = Mul (other, gate)\ny = Mul (gated, half)"),
    "the other side": (ERF, "gate = Sub (one, act)", "gated = Mul (x, gate)\ny = Mul (gated, half)"),
    "a bend of another size": (TANH.replace("bend", "half"), GATE, "gated = Mul (x, gate)\ny = Mul (gated, half)"),
    "quick": ("scaled = Mul (x, quick)\nact = Sigmoid (scaled)", "", "y = Mul (x, act)"),
    "a tangent alone": ("act = Tanh (x)", GATE, "y = Mul (gate, half)"),
    "a factor for each": (ERF, GATE, "gated = Mul (x, gate)\ny = Mul (gated, row)"),
}


def spelled(*parts: str, opset: int = 20) -> onnx.ModelProto:
    body = "\n".join(part for part in parts if part)
    return build(
        f"""g (float[1,4,6] image) => (float[1,4,6] depth)
        <float root = {{1.4142135}}, float inverse = {{0.70710677}}, float one = {{1}}, float two = {{2}},
         float half = {{0.5}}, float[1] ones = {{1}}, float[1] halves = {{0.5}}, float three = {{3}},
         float quick = {{1.702}},
         float bend = {{0.044715}}, float rate = {{0.7978845608}}, float[6] row>
        {{
            x = Neg (image)
            {body}
            depth = Neg (y)
        }}""",
        opset=opset,
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("parts", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_becomes_the_operator(parts: tuple[str, ...]) -> None:
    form, *body = parts
    proto = spelled(*body)
    model = inferred(proto)
    assert GeluFusion()(model)
    assert not GeluFusion()(model)
    assert kinds(model) == ["Neg", "Gelu", "Neg"]
    assert next(n for n in model.graph if n.op_type == "Gelu").attributes.get_string("approximate") == form
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)


@pytest.mark.parametrize("parts", OTHERS.values(), ids=OTHERS)
def test_what_is_something_else_stays(parts: tuple[str, ...]) -> None:
    assert not GeluFusion()(inferred(spelled(*parts)))


def test_operator_sets_without_it_are_left_alone() -> None:
    _, *body = SPELLINGS["gate halved"]
    assert not GeluFusion()(inferred(spelled(*body, opset=19)))


def test_the_activation_stays_for_others_that_read_it() -> None:
    _, *body = SPELLINGS["halved last"]
    proto = spelled(*body[:-1], "gated = Mul (x, gate)\nhalved = Mul (gated, half)\ny = Add (halved, act)")
    model = inferred(proto)
    assert GeluFusion()(model)
    assert kinds(model) == ["Neg", "Div", "Erf", "Gelu", "Add", "Neg"]
    assert_same_function(proto, model)


def test_a_value_that_is_a_product_itself_is_taken_as_it_is() -> None:
    _, *body = SPELLINGS["halved last"]
    proto = spelled("z = Mul (x, two)", *(part.replace("x", "z") for part in body))
    model = inferred(proto)
    assert GeluFusion()(model)
    assert kinds(model) == ["Neg", "Mul", "Gelu", "Neg"]
    assert_same_function(proto, model)


def test_constants_rounded_to_float16_are_known() -> None:
    root, one, half = (int(np.float16(number).view(np.uint16)) for number in (math.sqrt(2), 1, 0.5))
    text = f"""<ir_version: 10, opset_import: ["" : 20]>
        g (float16[1,4] x) => (float16[1,4] y) <float16 root = {{{root}}}, float16 one = {{{one}}},
            float16 half = {{{half}}}>
        {{ part = Div (x, root)\nact = Erf (part)\ngate = Add (act, one)
        gated = Mul (x, gate)\ny = Mul (gated, half) }}"""
    model = inferred(onnx.parser.parse_model(text))
    assert GeluFusion()(model)
    assert kinds(model) == ["Gelu"]


def test_two_in_a_row_are_both_found() -> None:
    second = ERF.replace("x", "u").replace("part", "part2").replace("act", "act2")
    proto = spelled(
        ERF, GATE, "gated = Mul (x, gate)\nu = Mul (gated, half)",
        second, "gate2 = Add (act2, one)", "gated2 = Mul (u, gate2)\ny = Mul (gated2, half)",
    )  # fmt: skip
    model = inferred(proto)
    assert GeluFusion()(model)
    assert kinds(model) == ["Neg", "Gelu", "Gelu", "Neg"]
    assert_same_function(proto, model)


@pytest.mark.parametrize("name", all_graphs())
def test_the_law(name: str) -> None:
    model = inferred(all_graphs()[name])
    assert not GeluFusion()(model)


def test_a_block_of_a_transformer() -> None:
    proto = block()
    proto.opset_import[0].version = 20
    model = inferred(proto)
    assert GeluFusion()(model)
    assert kinds(model).count("Gelu") == 1
    assert "Erf" not in kinds(model)
    assert_same_function(proto, model)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=4).map(lambda sizes: (1, *sizes)),
    form=st.sampled_from(["none", "tanh"]),
    seed=st.integers(0, 100),
)
def test_there_and_back_over_shapes(shape: tuple[int, ...], form: str, seed: int) -> None:
    sizes = ",".join(map(str, shape))
    proto = build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth)
        {{ x = Neg (image)\ny = Gelu <approximate="{form}"> (x)\ndepth = Neg (y) }}""",
        opset=20,
    )
    model = inferred(proto)
    assert GeluDecomposition()(model)
    assert "Gelu" not in kinds(model)
    assert_same_function(proto, model, seed=seed)
    assert GeluFusion()(model)
    assert kinds(model) == ["Neg", "Gelu", "Neg"]
    assert_same_function(proto, model, seed=seed)
