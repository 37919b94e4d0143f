"""ONNX's own cases of the operators of transformers, each through the passes that take the operator apart."""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from depthdeploy.core.target import GraphPass
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.passes.attention_decomposition import AttentionDecomposition
from depthdeploy.graph.passes.gelu_decomposition import GeluDecomposition
from depthdeploy.graph.passes.gelu_fusion import GeluFusion
from depthdeploy.graph.passes.instance_norm_decomposition import InstanceNormDecomposition
from depthdeploy.graph.passes.layer_norm_decomposition import LayerNormDecomposition
from depthdeploy.graph.passes.rms_norm_decomposition import RmsNormDecomposition
from depthdeploy.graph.passes.softmax_axis_last import SoftmaxAxisLast
from depthdeploy.graph.passes.softmax_decomposition import SoftmaxDecomposition

#: Operator, pass, and of how many of its cases the pass makes something else, at least.
RULES: list[tuple[str, GraphPass, int]] = [
    ("LayerNormalization", LayerNormDecomposition(), 19),
    ("LayerNormalization", LayerNormDecomposition(guard_fp16=True), 19),
    ("LayerNormalization", LayerNormDecomposition(guard_fp16=True, half_sums=True), 19),
    ("LayerNormalization", LayerNormDecomposition(guard_fp16=True, by_row=True), 19),
    ("RMSNormalization", RmsNormDecomposition(), 19),
    ("RMSNormalization", RmsNormDecomposition(guard_fp16=True), 19),
    ("Gelu", GeluDecomposition(), 4),
    ("Softmax", SoftmaxDecomposition(), 7),
    ("Softmax", SoftmaxAxisLast(), 2),
    ("LogSoftmax", SoftmaxDecomposition(), 7),
    ("LogSoftmax", SoftmaxAxisLast(), 2),
    ("Attention", AttentionDecomposition(), 80),
    ("InstanceNormalization", InstanceNormDecomposition(), 2),
]


@dataclass(frozen=True)
class Case:
    """A graph, and pairs of what goes in and what must come out."""

    name: str
    model: onnx.ModelProto
    data: Sequence[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]]
    rtol: float


@functools.cache
def every_case() -> tuple[Case, ...]:
    """ONNX collects its cases once in a process, whatever operator it is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts that overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    return tuple(Case(one.name, one.model, one.data_sets, one.rtol) for one in found if one.model and one.data_sets)


def cases(operator: str) -> list[Case]:
    given = [case for case in every_case() if "_expanded" not in case.name]
    return [case for case in given if case.model.graph.node[0].op_type == operator and not is_bfloat(case)]


def is_bfloat(case: Case) -> bool:
    """No engine of this machine takes bfloat16 from numpy."""
    return any(one.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16 for one in case.model.graph.input)


def prepared(case: Case, operator: str) -> onnx.ModelProto:
    """The case in opset 18 at least, where its operator means the same; factors of instance norms are constants."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.opset_import[0].version = max(18, model.opset_import[0].version)
    if operator != "InstanceNormalization":
        return model
    for value, array in [*zip(model.graph.input, case.data[0][0], strict=True)][1:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del model.graph.input[1:]
    return model


def judge(case: Case, model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for inputs, expected in case.data:
        feeds = dict(zip([one.name for one in session.get_inputs()], inputs, strict=False))
        for found, wanted in zip(session.run(None, feeds), expected, strict=True):
            half = wanted.dtype == np.float16
            np.testing.assert_allclose(found, wanted, rtol=max(case.rtol, 4e-3 * half), atol=2e-3 if half else 1e-5)


@pytest.mark.parametrize(("operator", "rule", "changed"), RULES, ids=lambda one: getattr(one, "name", str(one)))
def test_what_onnx_expects_comes_out(operator: str, rule: GraphPass, changed: int) -> None:
    count = 0
    for case in cases(operator):
        model = ir.from_proto(prepared(case, operator))
        if rule(model):
            count += 1
            kinds = [node.op_type for node in model.graph]
            assert operator not in kinds or isinstance(rule, SoftmaxAxisLast)
            judge(case, ir.to_proto(model))
    assert count >= changed


def test_onnx_own_expansions_of_gelu_are_two_more_spellings() -> None:
    names = {case.name for case in cases("Gelu")}
    expanded = [case for case in every_case() if case.name.removesuffix("_expanded") in names - {case.name}]
    assert len(expanded) == 4
    for case in expanded:
        model = ir.from_proto(case.model)
        canonicalize(model)
        assert GeluFusion()(model)
        assert [node.op_type for node in model.graph] == ["Gelu"]
        judge(case, ir.to_proto(model))
