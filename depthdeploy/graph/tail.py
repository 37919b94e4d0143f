"""A network is cut in two: what the accelerator computes, and the tail that the host computes behind it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common

from depthdeploy.core.ends import TailRule
from depthdeploy.core.host_tail import HostStep
from depthdeploy.errors import UsageError
from depthdeploy.graph.edit import constant, static_shape
from depthdeploy.graph.passes.common import Naming
from depthdeploy.graph.tail_steps import host_step

#: Formulas of depth: exponentials, reciprocals, scale and shift.
_POINTWISE = frozenset(
    {"Abs", "Add", "Clip", "Div", "Exp", "Log", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Sigmoid"}
    | {"Softplus", "Sqrt", "Sub"}
)

#: What changes the form of a tensor and not its numbers.
_MOVES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})

#: What accelerators absorb into the layer before: it is not worth a cut.
_ABSORBED = frozenset({"Clip", "Identity", "Relu"})


@dataclass(frozen=True, slots=True)
class Cut:
    """Two graphs that are the network when one follows the other.

    Attributes:
        head: the graph of the accelerator; its output bears the name of the tensor that was cut.
        tail: the graph of the host; its input bears the same name, its output is the network's.
        steps: the operations of the tail, in order.
    """

    head: ir.Model
    tail: ir.Model
    steps: tuple[HostStep, ...]


def cut_tail(model: ir.Model, rule: TailRule) -> Cut | None:
    """Cut off the longest chain of operations at the network's end that a rule gives to the host.

    The chain leads from one tensor to the output, one operation after another, each with constants besides. Activation
    functions that come first stay on the accelerator, where they cost nothing.

    Args:
        model: the network; it stays as it is.
        rule: which operations.

    Returns:
        ``None`` when the rule gives nothing to the host.
    """
    if rule is TailRule.NONE:
        return None
    chain = list(_chain(model.graph.outputs[0], rule))[::-1]
    while chain and chain[0].op_type in _ABSORBED:
        del chain[0]
    start = _moving_input(chain[0]) if chain else None
    if start is None or start.producer() is None:
        return None
    return _cut(model, start)


def cut_at(model: ir.Model, name: str) -> Cut:
    """Cut a network behind a node, or at a tensor.

    Args:
        model: the network; it stays as it is.
        name: of the last node of the accelerator, or of its output tensor.

    Raises:
        UsageError: nothing has this name (the nearest names are suggested), nothing or everything would be left to the
            host, the tensor is no float32 of a static shape, or the host would need further tensors.
    """
    value = _named(model.graph, name)
    if value.is_graph_output():
        raise UsageError(f"--cut-at {name} is the end of the network.", "Name an earlier node, or leave it out.")
    if value.is_graph_input() or value.is_initializer():
        raise UsageError(f"--cut-at {name} leaves nothing to the accelerator.", "Name a node behind the image.")
    if value.dtype != ir.DataType.FLOAT or not static_shape(value):
        found = f"{value.dtype.name.lower() if value.dtype else 'unknown'}{list(value.shape or ())}"
        raise UsageError(f"--cut-at {name} is {found}, no float32 tensor of a static shape.", "Name another tensor.")
    behind = _behind(value)
    if model.graph.outputs[0].producer() not in behind:
        raise UsageError(f"The depth does not depend on {name}.", "Name a node on the way to the depth.")
    crossing = sorted(str(other.name) for other in _crossing(behind, value))
    if crossing:
        raise UsageError(
            f"--cut-at {name} leaves more than one output: the host would need {', '.join(crossing[:5])} too.",
            "Name a node that everything behind it depends on alone.",
        )
    return _cut(model, value)


def _chain(value: ir.Value, rule: TailRule) -> Iterator[ir.Node]:
    """The nodes from the output backwards that the host can take."""
    node = value.producer()
    while node is not None and _for_host(node, rule):
        before = _moving_input(node)
        if before is None:
            return
        yield node
        node = before.producer()


def _for_host(node: ir.Node, rule: TailRule) -> bool:
    if node.domain != "" or len(node.outputs) != 1:
        return False
    if node.op_type == "Resize":
        return rule is TailRule.RESIZE and _enlarges(node)
    return node.op_type in _POINTWISE or node.op_type in _MOVES


def _enlarges(node: ir.Node) -> bool:
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    return before is not None and after is not None and len(before) == len(after) and before < after


def _moving_input(node: ir.Node) -> ir.Value | None:
    """The one input that is not a constant: a float32 tensor of a static shape; ``None`` where there is no such one."""
    moving = [value for value in node.inputs if value is not None and constant(value) is None]
    if len(moving) != 1 or moving[0].dtype != ir.DataType.FLOAT or static_shape(moving[0]) is None:
        return None
    return moving[0]


def _named(graph: ir.Graph, name: str) -> ir.Value:
    """The output of a node of this name, or the tensor of this name."""
    nodes = {node.name: node for node in graph if node.name}
    values = {value.name: value for value in _values(graph) if value.name}
    if name in values:
        return values[name]
    if name not in nodes:
        near = difflib.get_close_matches(name, [*nodes, *values], n=3, cutoff=0.5)
        last = [node.name for node in graph][-3:]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"The last nodes are {', '.join(map(str, last))}."
        raise UsageError(f"The network has no node or tensor {name!r}.", hint)
    outputs = nodes[name].outputs
    if len(outputs) > 1:
        listed = ", ".join(str(value.name) for value in outputs)
        raise UsageError(f"--cut-at {name} has several outputs: {listed}.", "Name one of them.")
    return outputs[0]


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _behind(value: ir.Value) -> set[ir.Node]:
    """The nodes that depend on a tensor."""
    found: set[ir.Node] = set()
    pending = [node for node, _ in value.uses()]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += [use for out in node.outputs for use, _ in out.uses()]
    return found


def _crossing(behind: set[ir.Node], value: ir.Value) -> set[ir.Value]:
    """What the nodes behind a tensor read besides it that depends on the image."""
    inputs = {one for node in behind for one in node.inputs if one is not None and one is not value}
    return {one for one in inputs if one.producer() not in behind and constant(one) is None}


def _cut(model: ir.Model, value: ir.Value) -> Cut:
    behind = _behind(value)
    steps = tuple(host_step(node) for node in model.graph if node in behind)
    return Cut(_head(model.clone(), value), _tail(model.clone(), value), steps)


def _head(model: ir.Model, cut: ir.Value) -> ir.Model:
    value = _named(model.graph, str(cut.name))
    model.graph.outputs[:] = [value]
    return _cleaned(model)


def _tail(model: ir.Model, cut: ir.Value) -> ir.Model:
    value = _named(model.graph, str(cut.name))
    entry = ir.Value(name=value.name, type=value.type, shape=value.shape)
    value.name = f"{value.name}_cut"
    value.replace_all_uses_with(entry)
    model.graph.inputs[:] = [entry]
    return _cleaned(model)


def _cleaned(model: ir.Model) -> ir.Model:
    common.RemoveUnusedNodesPass()(model)
    Naming()(model)
    return model
