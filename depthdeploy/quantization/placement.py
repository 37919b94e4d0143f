"""Where Q/DQ pairs go: which tensors a scheme puts on grids, which of them share one, which nodes stay float and why.

The rules are what integer kernels need in order to be chosen, as the graph optimisers of ONNX Runtime and OpenVINO look
for them: a pair on every activation input, a pair on the output behind the absorbed bias and activation, none between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.core.quant import KeptFloat
from depthdeploy.core.scheme import Scheme
from depthdeploy.quantization import topology

#: Operators on two tensors that a constant turns into a per-channel scale or shift: those stay float.
_BINARY = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"})

#: Operators that give float as readily as integers: their accumulator is scaled on the way out.
_FREE_OUTPUT = frozenset({"Gemm", "MatMul"})


@dataclass(frozen=True, slots=True)
class Placement:
    """The places of a plan, before any range is known.

    Attributes:
        tensors: every activation that gets a Q/DQ pair, in the graph's order.
        nodes: the nodes that compute on integers, in the graph's order.
        moving: the nodes that move integers, their input and output both on grids, in the graph's order.
        floats: the nodes that stay float, and why.
    """

    tensors: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    moving: tuple[ir.Node, ...]
    floats: tuple[KeptFloat, ...]


def place(graph: ir.Graph, scheme: Scheme, refused: Mapping[str, str] | None = None) -> Placement:
    """Decide the places of a scheme in a graph.

    Args:
        graph: the legal graph.
        scheme: the target's number formats and operators.
        refused: label of a node that is kept in float on purpose -> why.
    """
    refused = refused or {}
    reasons = {
        node: _refusal(node, scheme) or refused.get(topology.label(node), "") for node in topology.computing(graph)
    }
    absorbed = topology.absorbed(graph)
    nodes = [
        node
        for node, reason in reasons.items()
        if not reason and node not in absorbed and not topology.preserves(node) and node.op_type != "Identity"
        and node.op_type not in topology.ACTIVATIONS
    ]  # fmt: skip
    nodes = _without_float_neighbours(nodes, scheme, reasons)
    marked = _marked(graph, nodes, scheme, reasons)
    moving = tuple(
        node for node in reasons if topology.preserves(node) and not reasons[node] and _both_ends(node, marked)
    )
    inside = absorbed_by([*nodes, *(node for node in reasons if topology.label(node) in refused)])
    floats = tuple(
        KeptFloat(topology.label(node), topology.operator(node), why)
        for node in reasons
        if node not in inside and (why := _kept(node, nodes, moving, marked, reasons[node]))
    )
    order = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    return Placement(tuple(value for value in order if value in marked), tuple(nodes), moving, floats)


def absorbed_by(nodes: Iterable[ir.Node]) -> frozenset[ir.Node]:
    """The bias and activation nodes in the units of the given nodes."""
    return frozenset(member for node in nodes for member in topology.unit(node)[1:])


def source(value: ir.Value) -> ir.Value:
    """The tensor that carries the grid of an operator's input.

    Zero padding adds nothing to a grid that holds 0 exactly, and a pair behind it would keep runtimes from folding the
    padding into the convolution; an ``Identity`` is no tensor of its own.
    """
    producer = value.producer()
    while producer is not None and (producer.op_type == "Identity" or _folds(producer)):
        first = producer.inputs[0]
        if first is None or not topology.is_activation(first):
            break
        value, producer = first, first.producer()
    return value


def ends(value: ir.Value) -> bool:
    """Whether a tensor only becomes the graph's output: nothing but activation functions and moves lies between."""
    uses = tuple(value.uses())
    through = (*topology.ACTIVATIONS, "Identity")
    return (value.is_graph_output() or bool(uses)) and all(
        (topology.preserves(use.node) or use.node.op_type in through) and all(ends(out) for out in use.node.outputs)
        for use in uses
    )


def _folds(node: ir.Node) -> bool:
    """A zero padding that only convolutions read: it becomes their own."""
    if node.op_type != "Pad" or not topology.preserves(node) or node.outputs[0].is_graph_output():
        return False
    mode = node.attributes.get("mode")
    uses = tuple(node.outputs[0].uses())
    return (mode is None or mode.as_string() == "constant") and all(use.node.op_type == "Conv" for use in uses)


def _refusal(node: ir.Node, scheme: Scheme) -> str:
    """Why a scheme cannot have a node on integers, by itself; empty when it can."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in scheme.operators:
        return (
            "" if node.op_type == "Identity" or _folds(node) else f"scheme {scheme.name} has no integer {node.op_type}"
        )
    if node.op_type in topology.PRESERVING:
        return "" if topology.preserves(node) else "its output leaves the values of its input"
    if not topology.activation_inputs(node):
        return "no float activation enters it"
    constants = [topology.constant(value) is not None for value in node.inputs]
    if node.op_type in topology.WEIGHTED - {"MatMul"} and not constants[1]:
        return "its weight is not a constant"
    if node.op_type == "MatMul" and constants[0]:
        return "its left operand is a constant"
    if node.op_type == "Gemm" and _scaled(node):
        return "alpha, beta or transA is set"
    if node.op_type in _BINARY and any(constants):
        return "one operand is a constant"
    return ""


def _scaled(node: ir.Node) -> bool:
    defaults = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    found = {name: node.attributes[name].value for name in defaults if name in node.attributes}
    return any(found[name] != defaults[name] for name in found)


def _without_float_neighbours(nodes: list[ir.Node], scheme: Scheme, reasons: dict[ir.Node, str]) -> list[ir.Node]:
    """Without the sums and products that read a tensor computed in float: they would cost accuracy and gain nothing."""
    while True:
        outputs = {topology.unit(node)[-1].outputs[0] for node in nodes}
        floating = [
            node
            for node in nodes
            if node.op_type in _BINARY
            and not all(_from_integers(value, outputs, reasons) for value in topology.activation_inputs(node))
        ]
        if not floating:
            return nodes
        for node in floating:
            reasons[node] = "an operand is computed in float"
        nodes = [node for node in nodes if node not in set(floating)]


def _from_integers(value: ir.Value, outputs: set[ir.Value], reasons: Mapping[ir.Node, str]) -> bool:
    if value in outputs or value.is_graph_input():
        return True
    producer = value.producer()
    if producer is None:
        return False
    if producer.op_type in topology.ACTIVATIONS or (topology.preserves(producer) and not reasons.get(producer)):
        return all(_from_integers(origin, outputs, reasons) for origin in topology.activation_inputs(producer))
    return False


def _marked(
    graph: ir.Graph, nodes: list[ir.Node], scheme: Scheme, reasons: Mapping[ir.Node, str]
) -> frozenset[ir.Value]:
    """The tensors that get a pair: around computing nodes, then backwards through nodes that only move values."""
    pending = [source(value) for node in nodes for value in topology.activation_inputs(node)]
    for node in nodes:
        out = topology.unit(node)[-1].outputs[0]
        if node.op_type not in _FREE_OUTPUT and not ends(out):
            pending.append(out)
    if scheme.quantize_output:
        pending.extend(value for value in graph.outputs if topology.is_activation(value))
    marked: set[ir.Value] = set()
    while pending:
        value = pending.pop()
        if value in marked:
            continue
        marked.add(value)
        producer = value.producer()
        if producer is not None and topology.preserves(producer) and not reasons[producer]:
            pending.extend(source(origin) for origin in topology.activation_inputs(producer))
    return frozenset(marked)


def _both_ends(node: ir.Node, marked: frozenset[ir.Value]) -> bool:
    read = all(source(value) in marked for value in topology.activation_inputs(node))
    return read and all(value in marked for value in node.outputs if tuple(value.uses()) or value.is_graph_output())


def _kept(
    node: ir.Node, nodes: list[ir.Node], moving: tuple[ir.Node, ...], marked: frozenset[ir.Value], reason: str
) -> str:
    """Why a node stays float, or float at its output; empty for one on integers, or one that only moves floats."""
    out = node.outputs[0]
    if node in nodes:
        last = topology.unit(node)[-1].outputs[0]
        free = last in marked or node.op_type in _FREE_OUTPUT
        return "" if free else "it gives the graph's output, which stays float: some runtimes compute it in float"
    if node in moving or node.op_type == "Identity" or (_folds(node) and not reason):
        return ""
    if reason:
        return reason
    if node.op_type in topology.ACTIVATIONS and out in marked:
        return ""
    if ends(out):
        return "it leads to the graph's output, which stays float"
    return "" if topology.preserves(node) else "its neighbours are float"
