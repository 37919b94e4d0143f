"""What layers compute and move: counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from depthdeploy.core.performance import OperatorClass
from depthdeploy.errors import ModelError
from depthdeploy.estimate.work import Work, works_of
from depthdeploy.operations import macs_of

Graph = Callable[[str], ir.Model]

CONV_RELU = """
g (float[1, 4, 8, 8] x) => (float[1, 6, 8, 8] y)
<float[6, 4, 3, 3] w, float[6] b>
{
    c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    y = Relu(c)
}
"""


def _only(works: tuple[Work, ...]) -> Work:
    (work,) = works
    return work


def test_a_convolution_and_what_is_fused_behind_it(graph: Graph) -> None:
    work = _only(works_of(graph(CONV_RELU), {"Relu"}))
    assert (work.operator, work.fused, work.kind) == ("Conv", ("Relu",), OperatorClass.CONV)
    assert work.macs == 6 * 8 * 8 * 4 * 9
    assert work.weights == 6 * 4 * 9 + 6
    assert (work.reads, work.writes) == ((4 * 8 * 8,), 6 * 8 * 8)
    assert work.channels == (4, 6)


def test_what_a_chip_does_not_fuse_is_a_layer_of_its_own(graph: Graph) -> None:
    conv, relu = works_of(graph(CONV_RELU), ())
    assert (relu.kind, relu.reads, relu.writes, relu.steps) == (OperatorClass.ELEMENTWISE, (384,), 384, 384)
    assert conv.fused == ()


def test_a_value_with_two_readers_is_written(graph: Graph) -> None:
    text = """
    g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
    <float[4, 4, 1, 1] w>
    {
        c = Conv(x, w)
        r = Relu(c)
        y = Add(r, c)
    }
    """
    works = works_of(graph(text), {"Relu", "Add"})
    assert [(work.operator, work.fused) for work in works] == [("Conv", ()), ("Relu", ("Add",))]
    assert works[1].reads == (256, 256)  # its own input, and the sum's other operand


def test_a_residual_sum_joins_the_later_branch_and_reads_the_other(graph: Graph) -> None:
    text = """
    g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
    <float[4, 4, 1, 1] w, float[4, 4, 1, 1] v>
    {
        a = Conv(x, w)
        b = Conv(x, v)
        y = Add(a, b)
    }
    """
    first, second = works_of(graph(text), {"Add"})
    assert (first.fused, second.fused) == ((), ("Add",))
    assert second.reads == (256, 256)


def test_a_graphs_output_is_written_though_only_one_node_reads_it(graph: Graph) -> None:
    text = """
    g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] c, float[1, 4, 8, 8] y)
    <float[4, 4, 1, 1] w>
    {
        c = Conv(x, w)
        y = Relu(c)
    }
    """
    assert [work.operator for work in works_of(graph(text), {"Relu"})] == ["Conv", "Relu"]


@pytest.mark.parametrize(
    ("node", "shape", "kind"),
    [
        ("Conv <group = 4> (x, d)", "1, 4, 8, 8", OperatorClass.DEPTHWISE),
        ("MatMul(x, m)", "1, 4, 8, 5", OperatorClass.MATMUL),
        ("Softmax(x)", "1, 4, 8, 8", OperatorClass.NORMALIZE),
        ("Transpose <perm = [0, 2, 3, 1]> (x)", "1, 8, 8, 4", OperatorClass.MOVE),
        ("Sigmoid(x)", "1, 4, 8, 8", OperatorClass.ELEMENTWISE),
    ],
)
def test_classes(graph: Graph, node: str, shape: str, kind: OperatorClass) -> None:
    text = f"""
    g (float[1, 4, 8, 8] x) => (float[{shape}] y)
    <float[4, 1, 1, 1] d, float[8, 5] m>
    {{ y = {node} }}
    """
    work = _only(works_of(graph(text), ()))
    assert work.kind is kind
    assert bool(work.macs) == (kind in (OperatorClass.DEPTHWISE, OperatorClass.MATMUL))
    assert bool(work.steps) == (kind in (OperatorClass.NORMALIZE, OperatorClass.ELEMENTWISE))


def test_reshapes_and_marks_of_quantization_cost_nothing_and_hide_nothing(graph: Graph) -> None:
    text = """
    g (float[1, 4, 8, 8] x) => (float[1, 256] y)
    <float[4, 4, 1, 1] w, float s = {0.1}, uint8 z = {128}>
    {
        c = Conv(x, w)
        q = QuantizeLinear(c, s, z)
        d = DequantizeLinear(q, s, z)
        f = Flatten(d)
        y = Relu(f)
    }
    """
    work = _only(works_of(graph(text), {"Relu"}))
    assert (work.operator, work.fused, work.weights) == ("Conv", ("Relu",), 16)


def test_no_operation_is_lost(graph: Graph) -> None:
    model = graph(CONV_RELU)
    assert sum(work.macs for work in works_of(model, ())) == sum(macs_of(node) for node in model.graph)


def test_a_graph_without_a_size_is_refused_with_the_option(graph: Graph) -> None:
    model = graph("g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) { r = Relu(x) \n y = Sigmoid(r) }")
    model.graph.inputs[0].shape = ir.Shape([1, 4, "h", 8])
    with pytest.raises(ModelError, match="--size"):
        works_of(model, ())
