"""Every pass keeps the function, says whether it changed something, and leaves a valid graph; so does the fixpoint."""

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.target import GraphPass
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing import graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def _neighbour(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"laws_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


discovered = _neighbour(Path(__file__).parents[1] / "graph" / "discovered_passes.py")
chains = _neighbour(Path(__file__).with_name("layer_chains.py"))
GRAPHS = graphs.all_graphs()


def content(model: ir.Model) -> bytes:
    return bytes(as_proto(model).SerializeToString(deterministic=True))


@pytest.mark.parametrize("one", discovered.exact_passes(), ids=discovered.identified)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_pass_keeps_the_function_and_says_whether_it_changed_the_graph(one: GraphPass, name: str) -> None:
    model = ir.from_proto(GRAPHS[name])
    before = content(model)
    changed = one(model)
    assert changed == (content(model) != before)
    assert_same_function(GRAPHS[name], model)
    onnx.checker.check_model(as_proto(model), full_check=True)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_fixpoint_keeps_the_function_and_is_one(name: str) -> None:
    model = ir.from_proto(GRAPHS[name])
    canonicalize(model)
    assert_same_function(GRAPHS[name], model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    rest = content(model)
    assert canonicalize(model) == ()
    assert content(model) == rest


@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_and_value_has_a_name_of_its_own_and_a_static_shape(name: str) -> None:
    model = ir.from_proto(GRAPHS[name])
    for node in model.graph:
        node.name = None
    canonicalize(model)
    names = [node.name for node in model.graph]
    values = [value for node in model.graph for value in node.outputs]
    assert all(names)
    assert len(set(names)) == len(names)
    assert len({value.name for value in values}) == len(values)
    assert all(value.shape is not None and value.shape.is_static() for value in values)


def test_the_same_graph_gives_the_same_bytes() -> None:
    def canonical() -> bytes:
        model = ir.from_proto(graphs.attention_with_nan_guard())
        canonicalize(model)
        return content(model)

    assert canonical() == canonical()


@pytest.mark.parametrize("step", range(len(chains.STEPS)))
@pytest.mark.parametrize("first", [[], [2], [6], [15]], ids=["dense", "depthwise", "padded", "relu"])
def test_each_kind_of_layer_keeps_its_function(first: list[int], step: int) -> None:
    proto = chains.chain([*first, step])
    model = ir.from_proto(proto)
    canonicalize(model)
    assert_same_function(proto, model)


@pytest.mark.parametrize("step", range(len(chains.STEPS)))
@pytest.mark.parametrize(("first", "opset"), [(0, 18), (15, 18), (15, 20)], ids=["dense", "relu", "relu-opset-20"])
def test_each_pass_keeps_the_function_of_each_kind_of_layer(first: int, opset: int, step: int) -> None:
    proto = chains.chain([first, step], opset)
    canonical = ir.from_proto(proto)
    canonicalize(canonical)
    stored = as_proto(canonical)
    for one in discovered.exact_passes():
        model = ir.from_proto(stored)
        if one(model):
            assert_same_function(stored, model, atol=1e-4, rtol=1e-3)
            onnx.checker.check_model(as_proto(model), full_check=True)
            before = content(model)
            assert not one(model), discovered.identified(one)
            assert content(model) == before


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.integers(0, len(chains.STEPS) - 1), min_size=1, max_size=7))
def test_any_chain_of_layers_keeps_its_function(steps: list[int]) -> None:
    proto = chains.chain(steps)
    model = ir.from_proto(proto)
    canonicalize(model)
    assert_same_function(proto, model, atol=1e-4, rtol=1e-3)
    assert canonicalize(model) == ()
    onnx.checker.check_model(as_proto(model), full_check=True)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(st.integers(0, len(chains.STEPS) - 1), min_size=1, max_size=6), st.randoms(use_true_random=False)
)
def test_any_order_of_passes_keeps_the_function(steps: list[int], order: random.Random) -> None:
    proto = chains.chain(steps)
    model = ir.from_proto(proto)
    passes = list(discovered.exact_passes())
    order.shuffle(passes)
    ShapeInference()(model)
    for one in passes:
        one(model)
        ShapeInference()(model)
    assert_same_function(proto, model, atol=1e-3, rtol=1e-2)
    onnx.checker.check_model(as_proto(model), full_check=True)
    canonicalize(model)
    assert_same_function(proto, model, atol=1e-3, rtol=1e-2)


#: Passes that nothing here is for: ONNX's own cases and their own tests put them to the law.
ELSEWHERE = {"attention-decomposition", "constant-branch-inlining", "function-inlining", "gelu-decomposition",
             "gelu-respelling", "naming", "qkv-split", "rms-norm-decomposition"}  # fmt: skip


def test_every_pass_has_something_to_change_here() -> None:
    steps = [chains.chain([15, step], opset) for step in range(len(chains.STEPS)) for opset in (18, 20)]
    idle = {one.name: one for one in discovered.every_pass() if one.name not in ELSEWHERE}
    for proto in (*GRAPHS.values(), *steps):
        shaped = ir.from_proto(proto)
        ShapeInference()(shaped)
        for inferred in (proto, as_proto(shaped)):
            idle = {name: one for name, one in idle.items() if not one(ir.from_proto(inferred))}
    assert not sorted(idle)


def test_the_law_notices_another_function() -> None:
    other = graphs.residual_block()
    weight = other.graph.initializer[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    with pytest.raises(AssertionError, match="Not equal"):
        assert_same_function(graphs.residual_block(), other)


def test_the_law_notices_another_name() -> None:
    other = graphs.residual_block()
    other.graph.node[-1].output[0] = "map"
    other.graph.output[0].name = "map"
    with pytest.raises(AssertionError, match="outputs were"):
        assert_same_function(graphs.residual_block(), other)
