"""The structure of a foreign graph: every value has one origin, every origin stands before its readers.

ONNX's native checker, shape inference and version converter are given only graphs that passed these checks: they were
not written for others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from depthdeploy.errors import ModelError
from depthdeploy.proto_tensors import called, every_graph

_ANEW = "Export the network anew."


def check_versions(model: onnx.ModelProto, path: Path, opset: int) -> None:
    """The versions of the file format and of the operator set are known ones.

    Raises:
        ModelError: they are not, or not stated.
    """
    newest = onnx.defs.onnx_opset_version()
    if model.ir_version > onnx.IR_VERSION:
        raise ModelError(
            f"{path} has IR version {model.ir_version}; {onnx.IR_VERSION} is the newest that onnx {onnx.__version__} "
            "reads.",
            "Update onnx and onnxruntime, or export the network with an older IR version.",
        )
    if not 1 <= opset <= newest:
        raise ModelError(
            f"{path} has opset {opset}; onnx {onnx.__version__} reads 1 to {newest}.",
            "Update onnx and onnxruntime, or export the network with opset 21.",
        )


def check_structure(model: onnx.ModelProto, path: Path) -> None:
    """Names are defined once and before they are read; nodes that stand in another order are put into it.

    Raises:
        ModelError: a value has two origins or none, or nodes depend on themselves; the message names the node.
    """
    _check_scope(model.graph, frozenset(), path)


def check_operators(model: onnx.ModelProto, path: Path, opset: int) -> None:
    """Every operator is ONNX's own, of the file's operator set, and not in training.

    Raises:
        ModelError: others are there; the message names them and how many nodes there are.
    """
    nodes = [node for graph in every_graph(model.graph) for node in graph.node]
    foreign = [f"{node.op_type} of {node.domain}" for node in nodes if node.domain]
    if foreign:
        first = next(node for node in nodes if node.domain)
        raise ModelError(
            f"{path} (opset {opset}) uses operators that are not ONNX's own: {', '.join(sorted(set(foreign)))} "
            f"({len(foreign)} nodes, the first is {called(first)}).",
            "Export the network with standard operators alone.",
        )
    for node in nodes:
        if not _is_known(node.op_type, opset):
            raise ModelError(
                f"{path}: {called(node)} is no operator of ONNX's opset {opset}.",
                "Export the network anew, with operators of the opset that it states.",
            )
        if _is_training(node, opset):
            raise ModelError(
                f"{path}: {called(node)} is in training mode.", "Export the network after model.eval() in PyTorch."
            )


def check_ends(model: onnx.ModelProto, path: Path) -> None:
    """Inputs and outputs are tensors; a dimension that is not positive is made free, as some exporters mean it.

    Raises:
        ModelError: one is no tensor, or of no type that ONNX knows.
    """
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            if value.type.WhichOneof("value") not in ("tensor_type", None):
                raise ModelError(f"{path}: the {kind} {value.name!r} is no tensor.", "A depth map is one tensor.")
            element = value.type.tensor_type.elem_type
            if element not in onnx.TensorProto.DataType.values():
                raise ModelError(f"{path}: the {kind} {value.name!r} has the element type {element}.", _ANEW)
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.WhichOneof("value") == "dim_value" and dimension.dim_value < 1:
                    dimension.ClearField("dim_value")


def _check_scope(graph: onnx.GraphProto, outer: frozenset[str], path: Path) -> None:
    given = [value.name for value in graph.input]
    held = [tensor.name for tensor in graph.initializer]
    for names, kind in ((given, "input"), (held, "initializer")):
        twice = _repeated(names)
        if twice is not None:
            raise ModelError(f"{path}: there are two {kind}s {twice!r}.", _ANEW)
    known = frozenset((*outer, *given, *held))
    origins: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in origins or name in known:
                other = f"{called(origins[name])} makes too" if name in origins else "is an input or constant already"
                raise ModelError(f"{path}: {called(node)} makes {name!r}, which {other}.", _ANEW)
            origins[name] = node
    _sort(graph, known, origins, path)
    scope = known | origins.keys()
    for value in graph.output:
        if value.name not in scope:
            raise ModelError(f"{path}: nothing makes the output {value.name!r}.", _ANEW)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                _check_scope(inner, scope, path)


def _sort(graph: onnx.GraphProto, known: frozenset[str], origins: dict[str, onnx.NodeProto], path: Path) -> None:
    """Nodes behind what they read; those that are in order stay where they are."""
    waiting: dict[int, int] = {}
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(graph.node):
        needed = set(_read(node))
        lost = next((name for name in sorted(needed) if name not in known and name not in origins), None)
        if lost is not None:
            raise ModelError(
                f"{path}: {called(node)} reads {lost!r}, which no node makes and no initializer holds.", _ANEW
            )
        inner = [name for name in needed if name in origins]
        waiting[index] = len(inner)
        for name in inner:
            readers.setdefault(name, []).append(index)
    order, ready = [], [index for index, count in reversed(waiting.items()) if not count]
    while ready:
        index = ready.pop()
        order.append(index)
        for name in graph.node[index].output:
            for reader in readers.pop(name, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
    if len(order) < len(graph.node):
        circle = _circle([node for index, node in enumerate(graph.node) if waiting[index]], origins)
        raise ModelError(f"{path}: nodes depend on themselves: {' <- '.join(map(called, circle))}.", _ANEW)
    if not _is_sorted(graph, known):
        nodes = [graph.node[index] for index in order]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _is_sorted(graph: onnx.GraphProto, known: frozenset[str]) -> bool:
    seen = set(known)
    for node in graph.node:
        if any(name not in seen for name in _read(node)):
            return False
        seen.update(node.output)
    return True


def _circle(nodes: Sequence[onnx.NodeProto], origins: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """A few nodes of one circle: each reads what the next one makes."""
    members = {name for node in nodes for name in node.output}
    node, walked = nodes[0], list[onnx.NodeProto]()
    while node not in walked:
        walked.append(node)
        node = origins[next(name for name in _read(node) if name in members)]
    return [*walked[walked.index(node) :][:4], node]


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, also in the graphs that it holds."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for inner in _graphs(attribute):
            own = {value.name for value in inner.input} | {tensor.name for tensor in inner.initializer}
            own |= {name for one in inner.node for name in one.output}
            wanted = [name for one in inner.node for name in _read(one)]
            yield from (name for name in (*wanted, *(v.name for v in inner.output)) if name not in own)


def _graphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _is_known(operator: str, opset: int) -> bool:
    try:
        return not onnx.defs.get_schema(operator, opset).deprecated
    except onnx.defs.SchemaError:
        return False


def _is_training(node: onnx.NodeProto, opset: int) -> bool:
    """Batch normalisation by the photographs' own statistics; before opset 14 its further outputs say so."""
    if node.op_type != "BatchNormalization":
        return False
    if any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute):
        return True
    return 7 <= opset < 14 and any(node.output[1:])
