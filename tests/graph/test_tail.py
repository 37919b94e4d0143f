"""A network that is cut in two is the same network when one part follows the other."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.ends import TailRule
from depthdeploy.errors import UsageError
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.tail import Cut, cut_at, cut_tail
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, outputs

GRAPHS = graphs.all_graphs()

#: Disparity to depth, as self-supervised networks have it: a sigmoid, scaled, one over it, enlarged, clipped.
DISPARITY = """
    g (float[1,3,8,8] image) => (float[1,32,32] depth)
    <float[4,3,3,3] w, float[1,4,1,1] h, float gain = {9.99}, float shift = {0.01}, float low = {0.1},
     float high = {100}, float[4] four = {1, 1, 4, 4}, int64[1] channel = {1}>
    {
        conv = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w)
        act = Relu (conv)
        head = Conv <kernel_shape=[1,1]> (act, h)
        bounded = Sigmoid (head)
        scaled = Mul (bounded, gain)
        disparity = Add (scaled, shift)
        metres = Reciprocal (disparity)
        large = Resize <mode="linear", coordinate_transformation_mode="half_pixel"> (metres, , four)
        clipped = Clip (large, low, high)
        depth = Squeeze (clipped, channel)
    }"""


def shaped(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def assert_same(proto: onnx.ModelProto, cut: Cut) -> None:
    for part in (cut.head, cut.tail):
        onnx.checker.check_model(as_proto(part), full_check=True)
    shape = [dimension.dim_value for dimension in proto.graph.input[0].type.tensor_type.shape.dim]
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (between,) = outputs(as_proto(cut.head), image)
    (found,) = outputs(as_proto(cut.tail), between)
    (expected,) = outputs(proto, image)
    np.testing.assert_array_equal(found, expected)
    assert [value.name for value in cut.tail.graph.outputs] == [proto.graph.output[0].name]
    assert cut.head.graph.outputs[0].name == cut.tail.graph.inputs[0].name
    assert [step.operator for step in cut.steps] == operators(cut.tail)


def test_auto_takes_what_lies_behind_the_last_enlargement() -> None:
    proto = build(DISPARITY)
    cut = cut_tail(shaped(proto), TailRule.AUTO)
    assert cut is not None
    assert operators(cut.tail) == ["Squeeze"]
    assert_same(proto, cut)


def test_resize_takes_the_enlargement_and_the_formulas_before_it() -> None:
    proto = build(DISPARITY)
    model = shaped(proto)
    before = as_proto(model).SerializeToString(deterministic=True)
    cut = cut_tail(model, TailRule.RESIZE)
    assert cut is not None
    assert operators(cut.head) == ["Conv", "Relu", "Conv"]
    assert_same(proto, cut)
    assert as_proto(model).SerializeToString(deterministic=True) == before
    assert [str(step) for step in cut.steps] == [
        "Sigmoid",
        "Mul 9.99",
        "Add 0.01",
        "Reciprocal",
        "Resize mode linear, coordinate_transformation_mode half_pixel, 1x1x8x8 -> 1x1x32x32",
        "Clip 0.1 and 100",
        "Squeeze 1x1x32x32 -> 1x32x32",
    ]


def test_none_cuts_nothing() -> None:
    assert cut_tail(shaped(build(DISPARITY)), TailRule.NONE) is None


def test_an_activation_alone_is_not_worth_a_cut() -> None:
    assert cut_tail(shaped(GRAPHS["residual_block"]), TailRule.AUTO) is None


@pytest.mark.parametrize("rule", TailRule, ids=lambda one: one.value)
@pytest.mark.parametrize("name", GRAPHS)
def test_head_and_tail_of_every_graph_are_the_graph(name: str, rule: TailRule) -> None:
    model = ir.from_proto(GRAPHS[name])
    canonicalize(model)
    cut = cut_tail(model, rule)
    if cut is not None:
        assert_same(as_proto(model), cut)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_cut_anywhere_is_the_same_network_or_is_refused(name: str) -> None:
    model = ir.from_proto(GRAPHS[name])
    canonicalize(model)
    proto, cuts = as_proto(model), 0
    for node in tuple(model.graph)[:-1]:
        try:
            cut = cut_at(model, node.outputs[0].name or "")
        except UsageError:
            continue
        cuts += 1
        assert_same(proto, cut)
    assert cuts or len(proto.graph.node) < 3


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.sampled_from(["Exp", "Sigmoid", "Relu", "Neg", "Softplus", "Identity"]), max_size=6))
def test_any_chain_of_formulas_is_cut_behind_the_last_layer(chain: list[str]) -> None:
    lines = "\n".join(f"v{index + 1} = {one} (v{index})" for index, one in enumerate(chain))
    proto = build(
        f"""g (float[1,3,4,4] image) => (float[1,1,4,4] depth) <float[1,3,1,1] w>
        {{ v0 = Conv <kernel_shape=[1,1]> (image, w)
           {lines}
           depth = Reciprocal (v{len(chain)}) }}"""
    )
    cut = cut_tail(shaped(proto), TailRule.AUTO)
    assert cut is not None
    first = next((index for index, one in enumerate(chain) if one not in ("Relu", "Identity")), len(chain))
    assert operators(cut.tail) == [*chain[first:], "Reciprocal"]
    assert_same(proto, cut)


def test_a_node_and_its_tensor_are_the_same_cut() -> None:
    proto = build(DISPARITY)
    model = shaped(proto)
    for node in model.graph:
        node.name = f"node_of_{node.outputs[0].name}"
    by_node, by_tensor = cut_at(model, "node_of_metres"), cut_at(model, "metres")
    assert operators(by_node.tail) == operators(by_tensor.tail) == ["Resize", "Clip", "Squeeze"]
    assert_same(proto, by_node)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("metre", "Did you mean metres"),
        ("zzz", "last nodes are"),
        ("depth", "end of the network"),
        ("image", "nothing to the accelerator"),
        ("gain", "nothing to the accelerator"),
    ],
)
def test_what_cannot_be_a_cut_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cut_at(shaped(build(DISPARITY)), name)


def test_a_cut_through_a_skip_connection_names_what_the_host_would_need() -> None:
    with pytest.raises(UsageError, match=r"more than one output.*stem"):
        cut_at(shaped(GRAPHS["residual_block"]), "conv2")


def test_a_node_of_several_outputs_wants_a_tensor() -> None:
    proto = build(
        """g (float[1,4,4,4] image) => (float[1,1,4,4] depth)
        <float[1,2,1,1] w, int64[2] parts = {2, 2}>
        {
            a, b = Split <axis=1> (image, parts)
            s = Add (a, b)
            depth = Conv <kernel_shape=[1,1]> (s, w)
        }"""
    )
    model = shaped(proto)
    model.graph[0].name = "halves"
    with pytest.raises(UsageError, match="several outputs: a, b"):
        cut_at(model, "halves")
