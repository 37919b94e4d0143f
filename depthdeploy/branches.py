"""A branch that is always taken takes the place of its ``If``."""

from __future__ import annotations

import onnx_ir as ir


def branch_of(node: ir.Node, condition: bool) -> ir.Graph:
    """The graph that an ``If`` runs."""
    return node.attributes["then_branch" if condition else "else_branch"].as_graph()


def inline_branch(model: ir.Model, node: ir.Node, condition: bool) -> None:
    """Put the nodes and constants of the branch before an ``If`` of the main graph, and take the ``If`` out.

    Names that are taken already get a number: two branches may name their values alike. Each result is handed on by an
    ``Identity`` with the name of the ``If``'s own output.
    """
    graph, taken = model.graph, branch_of(node, condition)
    used = _names(model, besides=taken)
    results = tuple(taken.outputs)
    taken.outputs.clear()
    for value in tuple(taken.initializers.values()):
        taken.initializers.pop(str(value.name))
        value.name = _free(str(value.name), used)
        graph.register_initializer(value)
    for inner in tuple(taken):
        taken.remove(inner)
        for value in inner.outputs:
            value.name = _free(value.name, used) if value.name else value.name
        graph.insert_before(node, inner)
    for index, (old, result) in enumerate(zip(node.outputs, results, strict=True)):
        label = node.name if len(results) == 1 or not node.name else f"{node.name}_{index}"
        handed = ir.Node("", "Identity", [result], num_outputs=1, name=label)
        graph.insert_before(node, handed)
        new = handed.outputs[0]
        new.name, old.name = old.name, None
        new.shape, new.type = result.shape or old.shape, result.type or old.type
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    _forget(branch_of(node, not condition))


def _forget(graph: ir.Graph) -> None:
    """Empty a graph that is not run: its nodes read values of the main graph no more, which may then be unread."""
    graph.outputs.clear()
    for node in reversed(tuple(graph)):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                _forget(attribute.as_graph())
        graph.remove(node, safe=True)


def _names(model: ir.Model, besides: ir.Graph) -> set[str]:
    used: set[str] = set()
    for graph in model.graphs():
        if graph is besides:
            continue
        values = [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]
        used.update(str(value.name) for value in values)
    return used


def _free(name: str | None, used: set[str]) -> str:
    fresh, number = str(name), 0
    while fresh in used:
        number += 1
        fresh = f"{name}_{number}"
    used.add(fresh)
    return fresh
