"""The vocabulary of conditions: each is kept by one node and broken by its neighbour, and says what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir
import pytest

from depthdeploy.core.support import Accepted, Constraint
from depthdeploy.errors import PluginError
from depthdeploy.graph.checks.subject import Subject
from depthdeploy.graph.constraints import CHECKS, broken, check_named
from depthdeploy.testing.graph_text import build

Arguments = Mapping[str, Accepted | tuple[Accepted, ...]]


@dataclass(frozen=True)
class Case:
    """A condition, a node that keeps it, one that breaks it, and a part of what is said then."""

    check: str
    kept: str
    broke: str
    found: str
    arguments: Arguments = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.check}-{self.found}"


def resize(size: str, attributes: str = 'mode="linear"', before: str = "1,8,4,4", after: str = "1,8,8,8") -> str:
    return f"""tiny (float[{before}] image) => (float[{after}] depth)
        <int64[4] sizes = {{{size}}}> {{ depth = Resize <{attributes}> (image, , , sizes) }}"""


def conv(weights: str, attributes: str = "", image: str = "1,8,16,16") -> str:
    return f"""tiny (float[{image}] image, float[{weights}] w) => (float[N,M,H,W] depth)
        {{ depth = Conv {attributes} (image, w) }}"""


def reduce(axes: str, image: str = "1,8,4,4") -> str:
    count = axes.count(",") + 1
    return f"""tiny (float[{image}] image) => (float[A,B,C,D] depth)
        <int64[{count}] axes = {{{axes}}}> {{ depth = ReduceMean (image, axes) }}"""


def unary(operator: str, image: str = "1,8,4,4", attributes: str = "") -> str:
    return f"""tiny (float[{image}] image) => (float[{image}] depth) {{ depth = {operator} {attributes} (image) }}"""


def binary(operator: str, other: str, name: str = "k", image: str = "1,8,4,4") -> str:
    return f"""tiny (float[{image}] image) => (float[{image}] depth) <{other}>
        {{ depth = {operator} (image, {name}) }}"""


def slice_(steps: str, axis: str = "3") -> str:
    return f"""tiny (float[1,8,4,4] image) => (float[A,B,C,D] depth)
        <int64[1] s = {{0}}, int64[1] e = {{4}}, int64[1] a = {{{axis}}}, int64[1] t = {{{steps}}}>
        {{ depth = Slice (image, s, e, a, t) }}"""


def gelu(first: str, second: str, half: str = "0.5") -> str:
    return f"""tiny (float[1,8] image) => (float[1,8] depth)
        <float r = {{1.4142135}}, float one = {{1}}, float half = {{{half}}}> {{
            a = Div (image, r)
            node = Erf (a)
            b = Add (node, one)
            c = Mul ({first}, b)
            depth = Mul ({second}, half)
        }}"""


CANONICAL_GELU = """tiny (float[1,8] image) => (float[1,8] depth)
    <float r = {1.4142135}, float one = {1}, float half = {0.5}> {
        a = Div (image, r)
        node = Erf (a)
        b = Add (node, one)
        c = Mul (image, half)
        depth = Mul (c, b)
    }"""

EXPAND = """tiny (float[1,1,4] image) => (float[{after}] depth) <int64[3] s = {{{after}}}>
    {{ depth = Expand (image, s) }}"""

TWO = """tiny (float[1,8,4,4] image, float[4,4] w) => (float[1,8,4,4] depth) { depth = MatMul (image, w) }"""
SELF = """tiny (float[1,8,4,4] image) => (float[1,8,4,4] depth) { depth = MatMul (image, image) }"""

SCALAR, VECTOR = "float k = {2}", "float[8,1,1] k = {1, 2, 3, 4, 5, 6, 7, 8}"
LIMITS = {n: {"limit": n} for n in (1, 3, 4, 8, 9, 16, 63, 72)}

CASES = (
    Case("constant-inputs", binary("Mul", SCALAR), binary("Mul", SCALAR, "image"), "image computed", {"inputs": 1}),
    Case("scalar-inputs", binary("Pow", SCALAR), binary("Pow", VECTOR), "k [8, 1, 1]", {"inputs": 1}),
    Case("scalar-inputs", binary("Pow", SCALAR), binary("Pow", SCALAR, "image"), "image [1, 8", {"inputs": 1}),
    Case("no-scalar-inputs", binary("Max", VECTOR), binary("Max", SCALAR), "k", {"inputs": (0, 1)}),
    Case("operands", SELF, binary("Mul", VECTOR), "a constant", {"accepted": "activation"}),
    Case("operands", binary("Mul", VECTOR), SELF, "an activation", {"accepted": ("constant",)}),
    Case("equal-ranks", SELF, TWO, "4 and 2"),
    Case("rank", unary("Relu"), unary("Relu", "1,8,4"), "3", {"accepted": (2, 4)}),
    Case("max-dimension", unary("Relu", "1,8,4,4"), unary("Relu", "1,8,4,9"), "[1, 8, 4, 9]", LIMITS[8]),
    Case("max-batch", unary("Relu"), unary("Relu", "2,8,4,4"), "2", LIMITS[1]),
    Case("min-channels", unary("Relu"), unary("Relu", "1,7,4,4"), "7", LIMITS[8]),
    Case("max-channels", unary("Relu"), unary("Relu", "1,9,4,4"), "9", LIMITS[8]),
    Case("max-channels", resize("1,8,8,8"), resize("1,9,8,8", after="1,9,8,8"), "9", LIMITS[8]),
    Case("max-elements", unary("Relu", "1,7,3,3"), unary("Relu", "1,8,3,3"), "depth 72", LIMITS[63]),
    Case("max-changed-axes", EXPAND.format(after="1,9,4"), EXPAND.format(after="5,9,4"), "to [5, 9, 4]", LIMITS[1]),
    Case("max-kernel", conv("4,8,3,1"), conv("4,8,4,1"), "4x1", LIMITS[3]),
    Case("max-kernel-area", conv("4,8,3,3"), conv("4,8,5,2"), "5x2 = 10", LIMITS[9]),
    Case("max-kernel-volume", conv("4,8,3,3"), conv("4,8,5,2"), "8x5x2 = 80", LIMITS[72]),
    Case("max-stride", conv("4,8,1,1", "<strides=[1,1]>"), conv("4,8,1,1", "<strides=[1,2]>"), "1x2", LIMITS[1]),
    Case("max-dilation", conv("4,8,3,3"), conv("4,8,3,3", "<dilations=[2,1]>"), "2x1", LIMITS[1]),
    Case(
        "no-strided-dilation",
        conv("4,8,3,3", "<dilations=[2,2]>"),
        conv("4,8,3,3", "<dilations=[2,2], strides=[2,2]>"),
        "strides 2x2 with dilations 2x2",
    ),
    Case("no-padding", conv("4,8,3,3"), conv("4,8,3,3", "<pads=[0,1,0,0]>"), "0x1x0x0"),
    Case("groups", conv("4,8,1,1"), conv("4,4,1,1", "<group=2>"), "2 groups", {"accepted": ("one", "depthwise")}),
    Case("groups", conv("8,1,1,1", "<group=8>"), conv("4,8,1,1"), "1 groups", {"accepted": "depthwise"}),
    Case(
        "axis",
        unary("Softmax", attributes="<axis=1>"),
        unary("Softmax", attributes="<axis=-1>"),
        "axis -1 of 4",
        {"accepted": "channels"},
    ),
    Case(
        "axis",
        unary("Softmax", attributes="<axis=3>"),
        unary("Softmax", attributes="<axis=0>"),
        "axis 0 of 4",
        {"accepted": (1, 2, 3)},
    ),
    Case("axes", reduce("2,3"), reduce("1,2"), "axis 1 of 4", {"accepted": "spatial"}),
    Case("axes", reduce("-1"), reduce("2"), "axis 2 of 4", {"accepted": ("last", "batch")}),
    Case("axes", slice_("1"), slice_("1", axis="0"), "axis 0 of 4", {"accepted": (1, 2, 3)}),
    Case("axes-together", reduce("-2,-1"), reduce("1,2"), "axes 1, 2 of 4"),
    Case("axes-together", reduce("1"), reduce("0,1,2,3"), "axes 0, 1, 2, 3 of 4"),
    Case("unit-steps", slice_("1"), slice_("2"), "[2]"),
    Case("integer-scales", resize("1,8,8,12", after="1,8,8,12"), resize("1,8,8,9", after="1,8,8,9"), "2.25"),
    Case("integer-scales", resize("1,8,8,8"), resize("1,8,2,2", after="1,8,2,2"), "0.5 and 0.5"),
    Case(
        "integer-scales",
        resize("1,8,7,10", 'mode="linear", coordinate_transformation_mode="align_corners"', after="1,8,7,10"),
        resize("1,8,8,8", 'mode="linear", coordinate_transformation_mode="align_corners"'),
        "2.333 and 2.333",
    ),
    Case("integer-ratios", resize("1,8,2,8", after="1,8,2,8"), resize("1,8,3,8", after="1,8,3,8"), "0.75"),
    Case("power-of-two-scales", resize("1,8,8,16", after="1,8,8,16"), resize("1,8,8,12", after="1,8,8,12"), "3"),
    Case(
        "power-of-two-scales",
        resize("1,8,4,8", after="1,8,4,8"),
        resize("1,8,8,4", after="1,8,8,4"),
        "height by 2, width by 1",
    ),
    Case("max-scale", resize("1,8,8,16", after="1,8,8,16"), resize("1,8,20,8", after="1,8,20,8"), "5", LIMITS[4]),
    Case("max-stencil", resize("1,8,12,12", after="1,8,12,12"), resize("1,8,8,8"), "4 taps", LIMITS[3]),
    Case(
        "max-stencil",
        resize("1,8,16,16", 'mode="linear", coordinate_transformation_mode="asymmetric"', after="1,8,16,16"),
        resize("1,8,16,16", after="1,8,16,16"),
        "8 taps",
        LIMITS[4],
    ),
    Case("spatial-only", resize("1,8,8,8"), resize("1,16,8,8", after="1,16,8,8"), "axis 1"),
    Case("within-gelu", gelu("image", "c"), CANONICAL_GELU, "not x (1 + erf)"),
    Case("within-gelu", gelu("image", "c"), gelu("image", "c", "0.4"), "not halved"),
    Case("within-gelu", gelu("image", "c"), gelu("a", "c"), "not x (1 + erf)"),
)


def subject(text: str, opset: int = 18) -> Subject:
    """The node that the text is about: the one that gives ``node``, or the last."""
    graph = ir.from_proto(build(text, opset=opset)).graph
    named = [node for node in graph if node.outputs[0].name == "node"]
    return Subject(named[0] if named else graph[-1], opset)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_condition_is_kept_or_broken(case: Case) -> None:
    constraint = Constraint(case.check, case.arguments)
    assert broken(constraint, subject(case.kept)) is None
    said = broken(constraint, subject(case.broke))
    assert said is not None
    rule, found = said
    assert case.found in found
    assert rule
    assert "{" not in rule


def test_no_condition_is_without_a_case() -> None:
    assert set(CHECKS) == {case.check for case in CASES} | {"never"}


def test_never_is_broken_where_it_concerns_the_node() -> None:
    node = subject(resize("1,8,8,8", 'mode="nearest"'))
    assert broken(Constraint("never", when={"mode": ("linear",)}), node) is None
    said = broken(Constraint("never", when={"mode": ("nearest", "cubic")}), node)
    assert said == ("this combination of attributes is not taken with mode nearest or cubic", "it")


def test_when_reads_the_default_of_an_attribute() -> None:
    half = Constraint("never", when={"coordinate_transformation_mode": ("half_pixel",)})
    assert broken(half, subject(resize("1,8,8,8"))) is not None


def test_axes_as_an_attribute() -> None:
    text = "tiny (float[1,8,4,4] image) => (float[1,1,4,4] depth) { depth = ReduceMean <axes=[1]> (image) }"
    spatial = Constraint("axes", {"accepted": "spatial"})
    assert broken(spatial, subject(text, opset=13)) == ("the axes are spatial", "axis 1 of 4")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_unknown_shapes_break_nothing(case: Case) -> None:
    """What cannot be judged is refused by name elsewhere: every dimension must be fixed."""
    given = subject(case.kept)
    for value in (*given.node.inputs, *given.node.outputs):
        if value is not None and value.const_value is None:
            value.shape = None
    if case.check not in ("scalar-inputs", "constant-inputs"):
        assert broken(Constraint(case.check, case.arguments), given) is None


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Constraint("no-such"), "'no-such'"),
        (Constraint("max-kernel"), "takes limit, not nothing"),
        (Constraint("max-kernel", {"limit": 3, "size": 4}), "not limit, size"),
        (Constraint("never", {"limit": 3}), "takes nothing, not limit"),
    ],
)
def test_a_wrong_rule_is_named(constraint: Constraint, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_named(constraint)


def test_a_limit_is_a_number() -> None:
    with pytest.raises(PluginError, match="limit is 'three'"):
        broken(Constraint("max-kernel", {"limit": "three"}), subject(conv("4,8,3,3")))
