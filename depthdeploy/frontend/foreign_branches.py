"""Control flow of a foreign graph: what the size alone decides is decided; the rest is refused by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from depthdeploy.branches import inline_branch
from depthdeploy.errors import ModelError
from depthdeploy.inference import OnnxSession

#: Operators whose result has a shape that depends on values.
_UNSIZED = frozenset({"Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "StringSplit", "Unique"})

_HOLDS_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def settle_branches(model: onnx.ModelProto, image: str, shape: Sequence[int]) -> onnx.ModelProto:
    """The same function at one size of the image, without ``If``.

    This is done before the operator set is raised: ONNX's converter does not look into branches.

    Args:
        model: left as it is.
        image: the name of the image input.
        shape: its static shape.

    Raises:
        ModelError: an ``If`` depends on what the picture shows, or there are loops; the message names the node.
    """
    if not any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return model
    graph = ir.from_proto(model)
    while pending := [node for node in graph.graph if node.op_type == "If"]:
        ready = [node for node in pending if not _open(node, image)]
        if not ready:
            raise _refused(pending[0], "depends on what the picture shows")
        for node, taken in zip(ready, _conditions(graph, ready, image, shape), strict=True):
            inline_branch(graph, node, condition=taken)
    for node in graph.graph:
        if any(
            attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attribute in node.attributes.values()
        ):
            raise _refused(node, "is control flow, which targets do not run")
    return ir.to_proto(graph)


def _refused(node: ir.Node, why: str) -> ModelError:
    name = node.name or node.outputs[0].name
    return ModelError(
        f"{name} ({node.op_type}) {why}.", "Export the network without control flow, for one size of the image."
    )


def _open(node: ir.Node, image: str) -> bool:
    """Whether a condition depends on values of the image, or on an ``If`` before it; on its shape alone is fine."""
    pending, seen = [(node.inputs[0], False)], set[tuple[int, bool]]()
    while pending:
        value, sized = pending.pop()
        if value is None or (id(value), sized) in seen:
            continue
        seen.add((id(value), sized))
        maker = value.producer()
        if maker is None:
            if not sized and value.name == image:
                return True
            continue
        if maker.op_type in _UNSIZED:
            return True
        pending.extend((one, sized or maker.op_type in ("Shape", "Size")) for one in maker.inputs)
    return False


def _conditions(graph: ir.Model, nodes: Sequence[ir.Node], image: str, shape: Sequence[int]) -> list[bool]:
    """What the conditions are at this size: the graph is run for them."""
    names = [str(node.inputs[0].name) if node.inputs[0] is not None else "" for node in nodes]
    proto = ir.to_proto(graph)
    del proto.graph.output[:]
    listed = dict.fromkeys(names)
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.BOOL, None) for n in listed)
    end = next(value for value in proto.graph.input if value.name == image)
    probe = np.zeros(tuple(shape), onnx.helper.tensor_dtype_to_np_dtype(end.type.tensor_type.elem_type))
    end.type.tensor_type.ClearField("shape")
    try:
        found = OnnxSession(proto.SerializeToString()).run_with({image: probe}, tuple(listed))
    except ModelError:
        raise
    except Exception as cause:  # ONNX Runtime raises its own untyped exceptions
        raise ModelError(
            f"The condition of {nodes[0].name or nodes[0].outputs[0].name} (If) cannot be computed at {list(shape)}: "
            f"{' '.join(str(cause).split())}",
            "Give the network's own size after --size, or export it without control flow.",
        ) from cause
    known = {name: bool(np.asarray(value).reshape(-1)[0]) for name, value in zip(listed, found, strict=True)}
    return [known[name] for name in names]
