"""A graph in an older operator set computes the same, or is refused whole and by name."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Protocol

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.errors import UsageError
from depthdeploy.graph.opset.table import DEFINED, REWRITES
from depthdeploy.graph.opset.unchanged import UNCHANGED
from depthdeploy.graph.opset_lowering import ir_version_of, lower_opset
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def _neighbour(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"graph_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Case(Protocol):
    """One of ONNX's cases, as the neighbouring module has them."""

    name: str
    model: onnx.ModelProto

    def fault(self, model: onnx.ModelProto, engine: str) -> str | None: ...


node_cases = _neighbour("node_cases")


def lowered(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
    model = ir.from_proto(proto)
    assert lower_opset(model, version) == ()
    result = as_proto(model)
    onnx.checker.check_model(result, full_check=True)
    assert [(entry.domain, entry.version) for entry in result.opset_import] == [("", version)]
    return result


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


@pytest.mark.parametrize("version", [17, 16, 15, 14, 13, 12, 11])
@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_every_named_graph_keeps_its_function(name: str, version: int) -> None:
    proto = all_graphs()[name]
    assert_same_function(proto, lowered(proto, version))


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(10, 5), (11, 6), (12, 7), (13, 7), (14, 7), (15, 8), (17, 8), (18, 8), (19, 9), (21, 10)]
)
def test_a_file_calls_itself_as_old_as_its_operator_set(opset: int, ir_version: int) -> None:
    assert ir_version_of(opset) == ir_version


def test_the_ir_version_goes_down_and_never_up() -> None:
    proto = all_graphs()["residual_block"]
    assert lowered(proto, 13).ir_version == 7
    proto.ir_version = 6
    assert lowered(proto, 13).ir_version == 6


def test_an_old_graph_stays_as_it_is() -> None:
    model = ir.from_proto(all_graphs()["residual_block"])
    before = as_proto(model).SerializeToString()
    assert lower_opset(model, 18) == ()
    assert as_proto(model).SerializeToString() == before


def test_nothing_older_than_opset_10_is_promised() -> None:
    with pytest.raises(UsageError, match="older than 10"):
        lower_opset(ir.from_proto(all_graphs()["residual_block"]), 9)


def test_what_cannot_be_said_is_said_all_at_once_and_nothing_is_changed() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,3,16,16] depth)
        <float[4] twice = {1, 1, 2, 2}>
        {
            rounded = Round (image)
            known = Softmax <axis=1> (rounded)
            large = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (known, , twice)
            depth = Round (large)
        }"""
    )
    model = ir.from_proto(proto)
    before = as_proto(model).SerializeToString()
    facts = lower_opset(model, 10)
    assert sorted((fact.node, fact.operator) for fact in facts) == [
        ("depth", "Round"), ("large", "Resize"), ("rounded", "Round"),
    ]  # fmt: skip
    assert all(fact.rule.startswith("opset 10") and fact.remedy.endswith(".") for fact in facts)
    assert as_proto(model).SerializeToString() == before


def test_a_quantized_graph_keeps_its_nodes_per_tensor_and_is_refused_per_channel() -> None:
    text = """g (float[1,3,4,4] image) => (float[1,3,4,4] depth)
        <float{shape} scale = {values}, uint8{shape} zero_point = {zeros}>
        {{ x = Neg (image)\nq = QuantizeLinear <axis=1> (x, scale, zero_point)
           depth = DequantizeLinear <axis=1> (q, scale, zero_point) }}"""
    single = build(text.format(shape="", values="{0.05}", zeros="{100}"), opset=21)
    result = lowered(single, 11)
    assert operators(result) == ["Neg", "QuantizeLinear", "DequantizeLinear"]
    assert_same_function(single, result)
    several = build(text.format(shape="[3]", values="{0.05, 0.1, 0.2}", zeros="{1, 2, 3}"), opset=21)
    assert_same_function(several, lowered(several, 13))
    facts = lower_opset(ir.from_proto(several), 12)
    assert [fact.operator for fact in facts] == ["QuantizeLinear", "DequantizeLinear"]
    wide = build(text.format(shape="", values="{0.05}", zeros="{100}").replace("uint8", "uint16"), opset=21)
    assert [fact.operator for fact in lower_opset(ir.from_proto(wide), 19)] == ["QuantizeLinear", "DequantizeLinear"]


@settings(max_examples=30, deadline=None)
@given(
    rank=st.integers(2, 4),
    axis=st.integers(0, 3),
    operator=st.sampled_from(["Softmax", "LogSoftmax", "Hardmax"]),
    version=st.sampled_from([10, 11, 12]),
)
def test_softmax_keeps_its_function_over_every_axis(rank: int, axis: int, operator: str, version: int) -> None:
    axis %= rank
    sizes = ",".join(str(size) for size in (2, 3, 4, 5)[:rank])
    proto = build(
        f"""g (float[{sizes}] image) => (float[{sizes}] depth)
        {{ x = Neg (image)\ny = {operator} <axis={axis - rank}> (x)\ndepth = Neg (y) }}"""
    )
    assert_same_function(proto, lowered(proto, version))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 9),
    after=st.integers(2, 20),
    rule=st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]),
    rounding=st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]),
)
def test_a_nearest_resize_of_opset_10_copies_the_same_pixels_or_is_refused(
    size: int, after: int, rule: str, rounding: str
) -> None:
    proto = build(
        f"""g (float[1,2,{size},4] image) => (float[1,2,{after},4] depth) <int64[4] sizes = {{1, 2, {after}, 4}}>
        {{ depth = Resize <mode="nearest", coordinate_transformation_mode="{rule}", nearest_mode="{rounding}">
           (image, , , sizes) }}"""
    )
    model = ir.from_proto(proto)
    if not lower_opset(model, 10):
        assert_same_function(proto, model)


def test_branches_are_lowered_too() -> None:
    proto = build(
        """g (float[1,4,6,6] image) => (float[1,4,1,1] depth) <int64[2] sides = {2, 3}, bool yes = {1}>
        {
            depth = If (yes) <
                then_branch = one () => (float[1,4,1,1] mean) { mean = ReduceMean (image, sides) },
                else_branch = two () => (float[1,4,1,1] most) { most = ReduceMax (image, sides) }
            >
        }"""
    )
    result = lowered(proto, 11)
    branches = [attribute.g for attribute in result.graph.node[0].attribute]
    assert sorted((b.node[0].op_type, len(b.node[0].input)) for b in branches) == [("ReduceMax", 1), ("ReduceMean", 1)]
    assert_same_function(proto, result)


def test_functions_of_the_model_are_lowered_too() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18, "own" : 1]>
        g (float[1,3,4,4] image) => (float[1,3,4,4] depth) { depth = own.gate (image) }
        <domain: "own", opset_import: ["" : 18]>
        gate (x) => (y) { y = HardSwish (x) }"""
    )
    result = lowered(proto, 11)
    assert operators(result) == ["HardSigmoid", "Mul"]
    assert_same_function(proto, result)


def _schemas() -> dict[tuple[str, int], onnx.defs.OpSchema]:
    return {(one.name, one.since_version): one for one in onnx.defs.get_all_schemas_with_history() if one.domain == ""}


def _form(schema: onnx.defs.OpSchema) -> object:
    written = {n: (str(a.type), a.required, str(a.default_value)) for n, a in schema.attributes.items()}
    return written, [str(one.option) for one in schema.inputs], [str(one.option) for one in schema.outputs]


def test_what_the_table_calls_unchanged_is_written_alike_in_both_sets() -> None:
    schemas = _schemas()
    for operator, versions in UNCHANGED.items():
        for version in versions:
            before = onnx.defs.get_schema(operator, version - 1)
            assert _form(schemas[operator, version]) == _form(before), (operator, version)


def test_every_entry_of_the_tables_is_a_version_in_which_onnx_changed_the_operator() -> None:
    schemas = _schemas()
    for operator, rewrites in REWRITES.items():
        assert all((operator, version) in schemas for version in rewrites), operator
        assert not set(rewrites) & UNCHANGED.get(operator, frozenset()), operator
    assert all((operator, version) in schemas for operator, version in DEFINED.items())


#: Operators whose every version since 10 must have been thought of: those of depth networks and their kin.
_NEEDED = """Abs Add ArgMax AveragePool BatchNormalization Cast CastLike Celu Clip Concat Constant Conv ConvTranspose
CumSum DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor Gather Gelu Gemm GlobalAveragePool Greater
GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsNaN LayerNormalization
LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg PRelu Pad Pow RMSNormalization
Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare Relu Reshape Resize Selu Shape Sigmoid Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze
Sub Sum Swish Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where DequantizeLinear QuantizeLinear"""


def test_every_change_of_an_operator_of_depth_networks_is_known() -> None:
    for operator, version in _schemas():
        if version > 10 and operator in _NEEDED.split():
            known = version in REWRITES.get(operator, {}) or version in UNCHANGED.get(operator, ())
            assert known or DEFINED.get(operator) == version, (operator, version)


@functools.cache
def _cases(operator: str) -> list[Case]:
    return [case for case in node_cases.cases().get(operator, ()) if case.model.opset_import[0].domain == ""]


#: Cases of these operators are drawn at random.
_RANDOM = {"Bernoulli"}


@pytest.mark.parametrize("operator", sorted({*REWRITES, *DEFINED, *UNCHANGED} - _RANDOM))
def test_onnx_own_cases_give_what_they_must_or_are_refused(operator: str) -> None:
    """At the set before each change of the operator: there a rewrite acts, and what it gives is valid and right."""
    changes = {*REWRITES.get(operator, {}), *UNCHANGED.get(operator, ()), DEFINED.get(operator, 0)}
    for case in _cases(operator):
        for version in sorted({change - 1 for change in changes if change > 10}):
            model = ir.from_proto(case.model)
            start = model.opset_imports[""]
            if start <= version or lower_opset(model, version):
                continue
            result = as_proto(model)
            onnx.checker.check_model(result, full_check=True)
            _judge(case, result, version)


def _judge(case: Case, result: onnx.ModelProto, version: int) -> None:
    """One engine must find it right; what none can run, or ONNX Runtime got wrong before, cannot be compared."""
    fault = case.fault(result, "onnxruntime")
    if fault is None or case.fault(result, "reference") is None:
        return
    before = case.fault(case.model, "onnxruntime")
    unjudged = before is not None and (fault.startswith("does not run") or before.startswith("gives"))
    if not unjudged:
        raise AssertionError(f"{case.name} at opset {version}: {fault}")
