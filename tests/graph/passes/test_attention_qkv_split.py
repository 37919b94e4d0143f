"""Queries, keys and values of one projection come apart without a tensor of five axes."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.attention_qkv_split import QkvSplit
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function
from depthdeploy.testing.transformer_graphs import QKV, block

GATHERED = (
    """q = Gather <axis=0> (turned, zero)\nk = Gather <axis=0> (turned, one)\nv = Gather <axis=0> (turned, last)"""
)
UNBOUND = """q1, k1, v1 = Split <axis=0, num_outputs=3> (turned)
    q = Squeeze (q1, first)\nk = Squeeze (k1, first)\nv = Squeeze (v1, first)"""


def graph(choice: str = GATHERED, *, key: str = "k", perm: str = "2,0,3,1,4", rest: str = "two") -> onnx.ModelProto:
    return build(
        f"""g (float[1,4,30] image) => (float[1,2,4,5] depth)
        <int64[5] parts = {{1, 4, 3, 2, 5}}, int64 zero = {{0}}, int64 one = {{1}}, int64 last = {{-1}},
         int64[1] first = {{0}}, float two = {{2}}>
        {{
            x = Neg (image)
            parted = Reshape (x, parts)
            turned = Transpose <perm=[{perm}]> (parted)
            {choice}
            doubled = Mul ({key}, {rest})
            sum = Add (q, doubled)
            depth = Sub (sum, v)
        }}"""
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def split(proto: onnx.ModelProto) -> ir.Model:
    model = inferred(proto)
    assert QkvSplit()(model)
    assert not QkvSplit()(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    assert max(len(value.shape or ()) for node in model.graph for value in node.outputs) == 4
    return model


@pytest.mark.parametrize("choice", [GATHERED, UNBOUND], ids=["gathered", "unbound"])
def test_each_part_gets_its_own_heads(choice: str) -> None:
    kinds = [node.op_type for node in split(graph(choice)).graph]
    assert sorted(kinds) == sorted(["Neg", "Split", *["Reshape", "Transpose"] * 3, "Mul", "Add", "Sub"])


def test_a_part_that_nobody_reads_is_cut_off_all_the_same() -> None:
    kinds = [node.op_type for node in split(graph(GATHERED.replace("last", "one"))).graph]
    assert kinds.count("Reshape") == 3
    assert kinds.count("Split") == 1


@pytest.mark.parametrize("qkv", sorted(QKV))
def test_blocks_of_transformers(qkv: str) -> None:
    proto = block(qkv=qkv)
    model = ir.from_proto(proto)
    canonicalize(model)
    assert QkvSplit()(model) == (qkv == "gathered")
    assert max(len(value.shape or ()) for node in model.graph for value in node.outputs) == 4
    assert_same_function(proto, model)


OTHERS = {
    "a list of parts": graph(
        GATHERED.replace("(turned, one)", "(turned, first)") + "\nkey = Squeeze (k, first)", key="key"
    ),
    "another reader": graph(GATHERED + "\nlargest = ReduceMax <keepdims=0> (turned)", rest="largest"),
    "pieces of two": graph(
        """q2, v1 = Split <axis=0, num_outputs=2> (turned)
        k = Gather <axis=0> (q2, one)\nq = Gather <axis=0> (q2, zero)
        v = Squeeze (v1, first)"""
    ),
    "parts that are no channels": build(
        """g (float[3,4,10] image) => (float[4,2,5] depth) <int64[4] parts = {3, 4, 2, 5}, int64 zero = {0}>
        {
            parted = Reshape (image, parts)\nturned = Transpose <perm=[0,1,2,3]> (parted)
            some = Gather <axis=0> (turned, zero)\ndepth = Neg (some)
        }"""
    ),
    "another axis of the choice": build(
        """g (float[1,4,30] image) => (float[3,2,4,5] depth) <int64[5] parts = {1, 4, 3, 2, 5}, int64 zero = {0}>
        {
            parted = Reshape (image, parts)\nturned = Transpose <perm=[2,0,3,1,4]> (parted)
            some = Gather <axis=1> (turned, zero)\ndepth = Neg (some)
        }"""
    ),
}


@pytest.mark.parametrize("proto", OTHERS.values(), ids=OTHERS)
def test_what_is_read_in_another_way_stays(proto: onnx.ModelProto) -> None:
    assert not QkvSplit()(inferred(proto))


def test_the_output_of_the_graph_stays() -> None:
    proto = build(
        """g (float[1,4,30] image) => (float[3,1,2,4,5] depth) <int64[5] parts = {1, 4, 3, 2, 5}>
        { parted = Reshape (image, parts)\ndepth = Transpose <perm=[2,0,3,1,4]> (parted) }"""
    )
    assert not QkvSplit()(inferred(proto))


@pytest.mark.parametrize("name", all_graphs())
def test_graphs_without_it_stay(name: str) -> None:
    assert not QkvSplit()(inferred(all_graphs()[name]))


@settings(max_examples=30, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 4)] * 4), count=st.integers(2, 4), order=st.permutations([0, 1, 2, 3]))
def test_any_sizes_and_orders(sizes: tuple[int, int, int, int], count: int, order: list[int]) -> None:
    batch, tokens, heads, width = sizes
    shape = (1, batch, tokens, count, heads, width)
    perm = [3, *(axis + (axis >= 3) for axis in [0, *(one + 1 for one in order)])]
    turned = [shape[axis] for axis in perm[1:]]
    choices = "\n".join(f"p{index} = Gather <axis=0> (turned, i{index})" for index in range(count))
    indices = ", ".join(f"int64 i{index} = {{{index}}}" for index in range(count))
    proto = build(
        f"""g (float[1,{batch},{tokens},{count * heads * width}] image) => (float[{",".join(map(str, turned))}] depth)
        <int64[6] parts = {{{", ".join(map(str, shape))}}}, {indices}>
        {{
            parted = Reshape (image, parts)
            turned = Transpose <perm=[{",".join(map(str, perm))}]> (parted)
            {choices}
            depth = Sum ({", ".join(f"p{index}" for index in range(count))})
        }}"""
    )
    model = inferred(proto)
    assert QkvSplit()(model)
    assert_same_function(proto, model)
