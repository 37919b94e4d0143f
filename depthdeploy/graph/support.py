"""The support check: every node of a graph against what a target can do, and every refusal with its remedy."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.target import Capabilities, OpRule, Rejection, Support
from depthdeploy.errors import UnsupportedGraph
from depthdeploy.graph_file import read_graph

_ONNX = ("", "ai.onnx")


def check_support(model: OnnxModel | ir.Model, capabilities: Capabilities) -> Support:
    """Check a whole graph; the refusals of all nodes, in the graph's order.

    Refused are operators without a rule, operators of other domains, attribute values (also defaults) that a rule does
    not name, tensors of too high a rank, tensors whose shape is not static, and versions of ONNX outside the range.

    Raises:
        ModelError: the file cannot be read.
    """
    graph = model if isinstance(model, ir.Model) else read_graph(model.path)
    version = graph.opset_imports.get("") or graph.opset_imports.get("ai.onnx") or 0
    rejections = [*_opset(version, capabilities), *_inputs(graph)]
    nodes = 0
    for node in graph.graph.all_nodes():
        nodes += 1
        rejections.extend(_node(node, capabilities, version))
    return Support(tuple(rejections), nodes)


def require_support(model: OnnxModel | ir.Model, capabilities: Capabilities) -> Support:
    """The support of a graph that is accepted whole.

    Raises:
        UnsupportedGraph: one or more refusals; all are listed.
    """
    support = check_support(model, capabilities)
    if not support:
        listing = "\n".join(f"  {rejection}" for rejection in support.rejections)
        count = len(support.rejections)
        raise UnsupportedGraph(
            f"{capabilities.title} refuses {count} of the graph's {support.nodes} nodes or properties:\n{listing}"
        )
    return support


def _opset(version: int, capabilities: Capabilities) -> Iterator[Rejection]:
    oldest, newest = capabilities.opset
    if not oldest <= version <= newest:
        yield Rejection(
            "the graph",
            "opset",
            f"{capabilities.title} reads ONNX opset {oldest} to {newest}",
            str(version),
            "Convert it with onnx.version_converter, or export it at an opset of that range.",
        )


def _inputs(graph: ir.Model) -> Iterator[Rejection]:
    for value in graph.graph.inputs:
        if not _static(value):
            yield _dynamic("the graph", f"input {value.name}", value)


def _node(node: ir.Node, capabilities: Capabilities, version: int) -> Iterator[Rejection]:
    name = node.name or (node.outputs[0].name if node.outputs else None) or "without a name"
    rule = capabilities.operators.get(node.op_type) if node.domain in _ONNX else None
    if rule is None:
        operator = node.op_type if node.domain in _ONNX else f"{node.domain}.{node.op_type}"
        yield Rejection(
            name,
            operator,
            f"{capabilities.title} runs {len(capabilities.operators)} operators of ONNX",
            "one that is not among them",
            f"Write it in operators that `depthdeploy targets {capabilities.target}` lists.",
        )
        return
    yield from _attributes(name, node, rule, version)
    yield from _shapes(name, node, rule)


def _attributes(name: str, node: ir.Node, rule: OpRule, version: int) -> Iterator[Rejection]:
    for attribute, accepted in rule.attributes.items():
        found = _attribute(node, attribute, version)
        if found is not None and found not in accepted:
            choices = " or ".join(str(choice) for choice in accepted)
            yield Rejection(name, node.op_type, f"{attribute} must be {choices}", str(found), rule.remedy)


def _attribute(node: ir.Node, name: str, version: int) -> object:
    """An attribute's value, or the default of the operator's definition; ``None`` where it has neither."""
    given = node.attributes.get(name)
    if given is not None:
        value: object = given.value
        return value
    try:
        schema = onnx.defs.get_schema(node.op_type, version)
    except onnx.defs.SchemaError:
        return None
    definition = schema.attributes.get(name)
    if definition is None or not definition.default_value.name:
        return None
    value = onnx.helper.get_attribute_value(definition.default_value)
    return value.decode() if isinstance(value, bytes) else value


def _shapes(name: str, node: ir.Node, rule: OpRule) -> Iterator[Rejection]:
    for value in (*node.inputs, *node.outputs):
        if value is None or value.shape is None:
            continue
        rank = len(value.shape)
        if rule.max_rank is not None and rank > rule.max_rank:
            yield Rejection(name, node.op_type, f"at most {rule.max_rank} dimensions", f"{rank}", rule.remedy)
    for value in node.outputs:
        if value.shape is not None and not _static(value):
            yield _dynamic(name, node.op_type, value)


def _static(value: ir.Value) -> bool:
    return value.shape is not None and all(isinstance(size, int) for size in value.shape)


def _dynamic(name: str, operator: str, value: ir.Value) -> Rejection:
    return Rejection(
        name, operator, "every dimension is fixed", str(value.shape), "Give the input's size: --size HEIGHTxWIDTH."
    )
