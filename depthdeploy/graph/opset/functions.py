"""Operators that ONNX itself defines by others: where an older set lacks them, their definition stands in."""

from __future__ import annotations

import onnx
import onnx.inliner
import onnx_ir as ir

from depthdeploy.core.target import GraphPass
from depthdeploy.graph.opset.site import Site
from depthdeploy.graph.passes.common import ConstantLifting, DeadCodeElimination
from depthdeploy.graph.passes.constant_folding import ConstantFolding
from depthdeploy.graph.passes.no_op_elimination import NoOpElimination
from depthdeploy.graph.passes.shape_inference import ShapeInference

#: What a definition computes of shapes alone is computed now.
_SIMPLER: tuple[GraphPass, ...] = (
    ConstantLifting(),
    ShapeInference(),
    ConstantFolding(),
    NoOpElimination(),
    DeadCodeElimination(),
)
_ROUNDS = 8

#: Of ONNX Runtime's graphs of opset 21; a definition holds nothing that came later.
_IR_VERSION = 10


def definition(site: Site) -> tuple[ir.Node, ...]:
    """Put an operator's own definition in its place; the new nodes, which are of the set that the node was of."""
    body = _body(site)
    for _ in range(_ROUNDS):
        changed = [one(body) for one in _SIMPLER]
        if not any(changed):
            break
    if any(_holds_graph(node) for node in body.graph):
        raise _unknown(site)
    return _embed(site, body)


def _unknown(site: Site) -> Exception:
    return site.refuse(f"has no {site.node.op_type}", site.node.op_type, "Write it in older operators.")


def _body(site: Site) -> ir.Model:
    """The definition for the node's own attributes and static types, as a graph of its own."""
    node = site.node
    present = {value.name: value for value in node.inputs if value is not None}
    for value in present.values():
        site.dtype(value), site.shape(value)
    call = _spelled_out(node, site.opset + 1)
    function = _function(site, call)
    call.domain, call.op_type = function.domain, function.name
    outputs = [ir.to_proto(value) for value in node.outputs if value.name]
    graph = onnx.helper.make_graph([call], "definition", [ir.to_proto(one) for one in present.values()], outputs)
    imports = [*function.opset_import, onnx.helper.make_opsetid(function.domain, 1)]
    proto = onnx.helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION, functions=[function])
    return ir.from_proto(onnx.inliner.inline_local_functions(proto))


def _spelled_out(node: ir.Node, version: int) -> onnx.NodeProto:
    """The node with every default written: a definition refers to attributes by name."""
    proto: onnx.NodeProto = ir.to_proto(node)
    schema = onnx.defs.get_schema(node.op_type, version)
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            proto.attribute.append(attribute.default_value)
    return proto


def _function(site: Site, call: onnx.NodeProto) -> onnx.FunctionProto:
    """The definition under a name of its own, so that it can be put in like any function of a model."""
    version = site.opset + 1
    schema = onnx.defs.get_schema(call.op_type, version)
    if schema.has_context_dependent_function:  # type: ignore[attr-defined]  # onnx's stubs know less than onnx
        empty = onnx.TypeProto().SerializeToString()
        types = [empty if one is None else ir.to_proto(one).type.SerializeToString() for one in site.node.inputs]
        call_bytes = call.SerializeToString()
        body = schema.get_context_dependent_function_with_opset_version(version, call_bytes, types)  # type: ignore[attr-defined]
    else:
        body = schema.get_function_with_opset_version(version)  # type: ignore[attr-defined]
    if not body:
        raise _unknown(site)
    function: onnx.FunctionProto = onnx.FunctionProto.FromString(body)
    function.domain, function.name = "definition", call.op_type
    for entry in function.opset_import:
        entry.version = version
    return function


def _holds_graph(node: ir.Node) -> bool:
    return any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in node.attributes.values()
    )


def _embed(site: Site, body: ir.Model) -> tuple[ir.Node, ...]:
    parts = site.emission()
    values: dict[ir.Value, ir.Value] = {}
    named = {value.name: value for value in site.node.inputs if value is not None}
    for value in body.graph.inputs:
        values[value] = named[value.name]
    made = []
    for name, value in body.graph.initializers.items():
        if value.const_value is not None:
            values[value] = parts.constant(value.const_value.numpy(), _short(name))
    for node in body.graph:
        inputs = [None if value is None else values[value] for value in node.inputs]
        copies = parts.copy(node, inputs, _short(node.outputs[0].name or node.op_type))
        values.update(zip(node.outputs, copies, strict=True))
        made.append(copies[0])
    kept = {value.name: values[value] for value in body.graph.outputs}
    parts.finish_all([kept.get(value.name) if value.name else None for value in tuple(site.node.outputs)])
    producers = [value.producer() for value in made]
    return tuple(node for node in producers if node is not None and node.graph is not None)


def _short(name: str) -> str:
    return name.split("__", maxsplit=1)[0].lower()
