"""Instance normalisation, and with it group normalisation as PyTorch writes it, in single operators."""

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.passes.instance_norm_decomposition import InstanceNormDecomposition
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.testing.graphs import all_graphs, build
from depthdeploy.testing.laws import as_proto, assert_same_function

PLAIN = ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div"]


def graph(shape: tuple[int, ...], weights: str, epsilon: float = 1e-5) -> onnx.ModelProto:
    sizes, channels = ",".join(map(str, shape)), shape[1]
    weights = weights.format(channels=channels, ones=", ".join(["1"] * channels), zeros=", ".join(["0"] * channels))
    return build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth) <{weights}>
        {{
            x = Neg (image)
            norm = InstanceNormalization <epsilon={epsilon:.12f}> (x, gain, shift)
            depth = Neg (norm)
        }}"""
    )


OWN = "float[{channels}] gain, float[{channels}] shift"
NONE = "float[{channels}] gain = {{{ones}}}, float[{channels}] shift = {{{zeros}}}"


def decomposed(proto: onnx.ModelProto, rule: InstanceNormDecomposition) -> list[str]:
    model = ir.from_proto(proto)
    ShapeInference()(model)
    assert rule(model)
    assert not rule(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(proto, model)
    return [node.op_type for node in model.graph][1:-1]


def test_the_forms() -> None:
    assert decomposed(graph((1, 3, 4, 5), OWN), InstanceNormDecomposition()) == [*PLAIN, "Mul", "Add"]
    assert decomposed(graph((1, 3, 20), NONE), InstanceNormDecomposition()) == PLAIN
    guarded = decomposed(graph((1, 3, 20), NONE), InstanceNormDecomposition(guard_fp16=True))
    assert guarded == ["Mul", *PLAIN[:6], "Max", *PLAIN[6:]]


def test_factors_that_are_not_constant_are_left_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]> g (float[1,3,4] x, float[3] gain, float[3] shift) =>
        (float[1,3,4] y) { y = InstanceNormalization (x, gain, shift) }"""
    assert not InstanceNormDecomposition()(ir.from_proto(onnx.parser.parse_model(text)))


def test_group_normalisation_as_the_exporter_writes_it() -> None:
    proto = build(
        """g (float[1,8,4,4] image) => (float[1,8,4,4] depth)
        <float[2] gain = {1, 1}, float[2] shift = {0, 0}, int64[3] groups = {0, 2, -1}, int64[4] back = {1, 8, 4, 4},
         float[8,1,1] w_gain, float[8,1,1] w_shift>
        {
            grouped = Reshape (image, groups)
            norm = InstanceNormalization (grouped, gain, shift)
            whole = Reshape (norm, back)
            gained = Mul (whole, w_gain)
            depth = Add (gained, w_shift)
        }"""
    )
    kinds = decomposed(proto, InstanceNormDecomposition(guard_fp16=True, half_sums=True))
    assert "InstanceNormalization" not in kinds


@pytest.mark.parametrize("name", all_graphs())
def test_graphs_without_it_stay(name: str) -> None:
    assert not InstanceNormDecomposition()(ir.from_proto(all_graphs()[name]))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(lambda sizes: (1, *sizes, 3)),
    weights=st.sampled_from([OWN, NONE]),
    epsilon=st.sampled_from([1e-12, 1e-6, 1e-5, 1e-3]),
    rule=st.builds(
        InstanceNormDecomposition, st.booleans(), st.sampled_from([8.0, 127.0, 65504.0]), st.booleans(), st.booleans()
    ),
)
def test_any_shape(shape: tuple[int, ...], weights: str, epsilon: float, rule: InstanceNormDecomposition) -> None:
    assert len(decomposed(graph(shape, weights, epsilon), rule)) >= len(PLAIN)
