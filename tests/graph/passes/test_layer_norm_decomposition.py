"""Layer normalisation in single operators is the same function, whatever its axes, epsilon and factors."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.layer_norm_decomposition import LayerNormDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function

PLAIN = ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]


def graph(
    shape: tuple[int, ...] = (1, 6, 8), axis: int = -1, epsilon: float = 1e-5, bias: bool = True
) -> onnx.ModelProto:
    sizes, inner = ",".join(map(str, shape)), ",".join(map(str, shape[axis:]))
    shift = f", float[{inner}] shift" if bias else ""
    return build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth)
        <float[{inner}] w_gain{shift}>
        {{
            x = Neg (image)
            norm = LayerNormalization <axis={axis}, epsilon={epsilon:.12f}> (x, w_gain{", shift" if bias else ""})
            depth = Neg (norm)
        }}"""
    )


def inferred(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    return model


def decomposed(proto: onnx.ModelProto, rule: LayerNormDecomposition) -> list[str]:
    model = inferred(proto)
    assert rule(model)
    assert not rule(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    assert all(value.shape is not None and value.dtype for node in model.graph for value in node.outputs)
    return [node.op_type for node in model.graph][1:-1]


def test_the_plain_form() -> None:
    assert decomposed(graph(), LayerNormDecomposition()) == PLAIN
    assert decomposed(graph(bias=False), LayerNormDecomposition()) == PLAIN[:-1]


def test_the_guarded_form_has_a_factor_before_and_a_floor_behind_the_root() -> None:
    found = decomposed(graph(), LayerNormDecomposition(guard_fp16=True))
    assert found == ["Mul", *PLAIN[:6], "Max", *PLAIN[6:]]
    assert decomposed(graph(epsilon=0.1), LayerNormDecomposition(guard_fp16=True)) == ["Mul", *PLAIN]


def test_by_row_each_row_is_divided_by_its_largest_deviation() -> None:
    found = decomposed(graph(), LayerNormDecomposition(guard_fp16=True, by_row=True))
    rows = ["Abs", "ReduceMax", "Max", "Div", "Mul", "ReduceMean", "Div", "Mul", "Mul"]
    assert found == ["ReduceMean", "Sub", *rows, "Add", "Sqrt", "Div", "Mul", "Add"]


def test_new_nodes_are_named_after_the_old_one_and_the_value_keeps_its_name() -> None:
    model = inferred(graph())
    LayerNormDecomposition()(model)
    names = [node.name or "" for node in model.graph]
    assert all(name.startswith("norm_") for name in names[1:-1])
    assert "norm" in [value.name for node in model.graph for value in node.outputs]


def test_the_output_of_the_graph_may_be_the_norm_itself() -> None:
    proto = build(
        """g (float[1,6,8] image) => (float[1,6,8] depth) <float[8] w_gain>
        { depth = LayerNormalization (image, w_gain) }"""
    )
    model = inferred(proto)
    assert LayerNormDecomposition()(model)
    assert_same_function(proto, model)


@pytest.mark.parametrize(("guard", "by_row"), [(False, False), (True, False), (True, True)])
def test_mean_and_inverse_deviation_are_given_where_they_are_read(guard: bool, by_row: bool) -> None:
    proto = build(
        """g (float[1,6,8] image) => (float[1,6,8] depth) <float[8] w_gain>
        {
            norm, mean, inverse = LayerNormalization (image, w_gain)
            with_mean = Add (norm, mean)
            depth = Mul (with_mean, inverse)
        }"""
    )
    model = inferred(proto)
    assert LayerNormDecomposition(guard_fp16=guard, by_row=by_row)(model)
    assert_same_function(proto, model)


def test_half_activations_are_widened_without_the_guard_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]>
        g (float16[1,4,8] image, float16[8] gain) => (float16[1,4,8] depth)
        { depth = LayerNormalization (image, gain) }"""
    for guard, casts in ((False, 2), (True, 0)):
        model = ir.from_proto(onnx.parser.parse_model(text))
        assert LayerNormDecomposition(guard_fp16=guard)(model)
        onnx.checker.check_model(as_proto(model), full_check=True)
        assert [node.op_type for node in model.graph].count("Cast") == casts


def test_unknown_shapes_and_older_operator_sets_are_left_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : {opset}]>
        g (float[1,{size},8] image, float[8] gain) => (float[1,{size},8] depth)
        {{ depth = LayerNormalization (image, gain) }}"""
    for opset, size in ((17, "4"), (18, "N")):
        model = ir.from_proto(onnx.parser.parse_model(text.format(opset=opset, size=size)))
        assert not LayerNormDecomposition()(model)


@pytest.mark.parametrize("name", all_graphs())
@pytest.mark.parametrize("guard", [False, True])
def test_the_law(name: str, guard: bool) -> None:
    proto = all_graphs()[name]
    model = inferred(proto)
    had = any(node.op_type == "LayerNormalization" for node in model.graph)
    assert LayerNormDecomposition(guard_fp16=guard)(model) == had
    assert_same_function(proto, model)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(lambda sizes: (1, *sizes[:-1], sizes[-1] + 1)),
    data=st.data(),
    epsilon=st.sampled_from([1e-12, 1e-6, 1e-5, 1e-3]),
    bias=st.booleans(),
    rule=st.builds(
        LayerNormDecomposition,
        guard_fp16=st.booleans(),
        max_abs=st.sampled_from([8.0, 127.0, 3000.0, 65504.0]),
        half_sums=st.booleans(),
        by_row=st.booleans(),
    ),
)
def test_any_axis_epsilon_and_factors(
    shape: tuple[int, ...], data: st.DataObject, epsilon: float, bias: bool, rule: LayerNormDecomposition
) -> None:
    axis = data.draw(st.integers(1 - len(shape), len(shape) - 1).filter(lambda one: one != 0))
    decomposed(graph(shape, axis, epsilon, bias), rule)
