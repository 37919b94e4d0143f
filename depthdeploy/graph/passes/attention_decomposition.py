"""Attention in single operators, as ONNX itself defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import onnx
import onnx_ir as ir

from depthdeploy.core.target import GraphPass
from depthdeploy.graph.edit import bypass, constant, main_nodes, static_shape
from depthdeploy.graph.passes.common import ConstantLifting, DeadCodeElimination, Inlining, SubexpressionSharing
from depthdeploy.graph.passes.constant_folding import ConstantFolding
from depthdeploy.graph.passes.no_op_elimination import NoOpElimination
from depthdeploy.graph.passes.reordering_fusion import ReorderingFusion
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.replacement import Replacement


@dataclass(frozen=True, slots=True)
class _UnmaskedRows:
    """The definition replaces rows that are masked as a whole; where the mask is known to leave something, none is."""

    name: str = "unmasked-rows"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Where"):
            condition, kept = constant(node.inputs[0]), node.inputs[2]
            same = static_shape(kept) == static_shape(node.outputs[0]) is not None
            if condition is not None and not condition.any() and same:
                changed |= bypass(node, kept)
        return changed


#: Where the definition stands while it is inlined.
_LOCAL: Final = "depthdeploy.definition"

#: The mask and the lengths without padding: where they are constant, what is made of them is computed now.
_SETTINGS: Final = (3, 6)

#: What the definition says of unknown shapes and optional masks is known here, and goes.
_SIMPLIFIED: Final[Sequence[GraphPass]] = (
    Inlining(),
    ConstantLifting(),
    ShapeInference(),
    ConstantFolding(),
    NoOpElimination(),
    ReorderingFusion(),
    _UnmaskedRows(),
    SubexpressionSharing(),
    DeadCodeElimination(),
)


@dataclass(frozen=True, slots=True)
class AttentionDecomposition:
    """``Attention`` (opset 23) becomes ``MatMul, Softmax, MatMul`` and the moves and masks that it asks for.

    ONNX defines the operator by a function of some seventy nodes; inlined at static shapes, seven to fourteen of them
    remain. Causal masks, grouped queries, soft caps and caches are therefore what the standard says.
    """

    name: str = "attention-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Attention"):
            if all(value is None or _known(value) for value in node.inputs):
                _splice(model, node, _inlined(model, node))
                changed = True
        return changed


def _known(value: ir.Value) -> bool:
    """Whether shape and type are; constants of bfloat16 are not, to the engine that computes them."""
    return static_shape(value) is not None and value.dtype not in (None, ir.DataType.BFLOAT16)


def _inlined(model: ir.Model, node: ir.Node) -> ir.Model:
    """The definition of one node as a graph of its own: inputs ``i0, i1, ...``, outputs ``o0, o1, ...``."""
    call, version = ir.to_proto(node), model.opset_imports[""]
    inputs, constants = [], []
    for index, value in enumerate(node.inputs):
        call.input[index] = "" if value is None else f"i{index}"
        array = constant(value) if index in _SETTINGS else None
        if array is not None:
            constants.append(onnx.numpy_helper.from_array(array, f"i{index}"))
        elif value is not None:
            inputs.append(onnx.helper.make_tensor_value_info(f"i{index}", _type(value), static_shape(value)))
    for index, name in enumerate(call.output):
        call.output[index] = f"o{index}" if name else ""
    outputs = [onnx.ValueInfoProto(name=name) for name in call.output if name]
    definition = _definition(call, [None if value is None else _type(value) for value in node.inputs], version)
    graph = onnx.helper.make_graph([call], "attention", inputs, outputs, constants)
    imports = [onnx.helper.make_opsetid("", version), onnx.helper.make_opsetid(_LOCAL, 1)]
    proto = onnx.helper.make_model(graph, opset_imports=imports, ir_version=model.ir_version, functions=[definition])
    result = ir.from_proto(proto)
    while sum(one(result) for one in _SIMPLIFIED):  # all of them in every round
        pass
    return result


def _type(value: ir.Value) -> int:
    return (value.dtype or ir.DataType.FLOAT).value


def _definition(call: onnx.NodeProto, types: Sequence[int | None], version: int) -> onnx.FunctionProto:
    """ONNX's own function for a node, which becomes a call of it: attributes that are left out are given.

    The library's inliner of such functions stumbles over optional inputs that are left out before others.
    """
    schema = onnx.defs.get_schema("Attention", version)
    given = {attribute.name for attribute in call.attribute}
    call.attribute.extend(
        attribute.default_value
        for name, attribute in schema.attributes.items()
        if name not in given and attribute.default_value.name
    )
    known = [onnx.TypeProto() if one is None else onnx.helper.make_tensor_type_proto(one, None) for one in types]
    body: bytes = schema.get_context_dependent_function(  # type: ignore[attr-defined]
        call.SerializeToString(), [one.SerializeToString() for one in known]
    )
    definition = onnx.FunctionProto()
    definition.ParseFromString(body)
    definition.domain = call.domain = _LOCAL
    asked = [bool(name) for name in call.output] + [False] * (len(definition.output) - len(call.output))
    kept = [name for name, wanted in zip(definition.output, asked, strict=True) if wanted]
    definition.output[:] = kept  # what nobody asks for is not computed
    call.output[:] = [name for name in call.output if name]
    return definition


def _splice(model: ir.Model, node: ir.Node, inner: ir.Model) -> None:
    """The nodes of another graph stand in for one node."""
    parts = Replacement(model, node)
    known: dict[ir.Value, ir.Value | None] = {
        value: node.inputs[int((value.name or "i0")[1:])] for value in inner.graph.inputs
    }
    for name, value in inner.graph.initializers.items():
        array = constant(value)
        if array is not None:
            known[value] = parts.constant(array, name)
    for one in inner.graph:
        inputs = [None if value is None else known[value] for value in one.inputs]
        result = one.outputs[0]
        known[result] = parts.make(
            one.op_type, inputs, result.name or one.op_type, shape=result.shape, dtype=result.dtype,
            attributes=one.attributes.values(),
        )  # fmt: skip
    for value in inner.graph.outputs:
        replacement = known[value]
        if replacement is not None:
            parts.finish(replacement, int((value.name or "o0")[1:]))
