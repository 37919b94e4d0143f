"""The structure of a graph in protobuf: every value has one origin, every origin stands before its readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from depthdeploy.errors import ModelError
from depthdeploy.proto_tensors import called

_ANEW = "Export the network anew."


def check_structure(model: onnx.ModelProto, path: Path) -> None:
    """Names are defined once and before they are read; nodes that stand in another order are put into it.

    Raises:
        ModelError: a value has two origins or none, or nodes depend on themselves; the message names the node.
    """
    _check_scope(model.graph, frozenset(), path)


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
