"""How far tensors are from the graph's output."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from depthdeploy.quantization import topology


def layers_behind(graph: ir.Graph) -> Mapping[str, int]:
    """Tensor -> the fewest layers with weights on a path from it to an output: 0 for the output itself.

    Tensors that lead to no output are missing.
    """
    found: dict[str, int] = {}
    nodes = list(graph)
    for value in (*(out for node in reversed(nodes) for out in reversed(node.outputs)), *graph.inputs):
        paths = [0] if value.is_graph_output() else []
        for use in value.uses():
            behind = [found[out.name] for out in use.node.outputs if out.name in found]
            paths.extend(least + (use.node.op_type in topology.WEIGHTED) for least in behind)
        if paths:
            found[topology.name_of(value)] = min(paths)
    return found
