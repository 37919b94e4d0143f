"""Models from ONNX's textual syntax, their weights drawn from a seed."""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray

_HEAD = '<ir_version: 10, opset_import: ["" : {opset}], producer_name: "depthdeploy.testing">\n'


def build(text: str, *, opset: int = 18, seed: int = 0) -> onnx.ModelProto:
    """A model from the text of a graph, its undefined tensors drawn from ``seed``, checked.

    Raises:
        onnx.parser.ParseError: the text is not ONNX.
        onnx.checker.ValidationError: the graph is not valid.
    """
    model = onnx.parser.parse_model(_HEAD.format(opset=opset) + text)
    graph = model.graph
    produced = {name for node in graph.node for name in node.output}
    weights = [value for value in graph.value_info if value.name not in produced]
    kept = [value for value in graph.value_info if value.name in produced]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    generator = np.random.default_rng(seed)
    for value in weights:
        shape = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        graph.initializer.append(onnx.numpy_helper.from_array(_weight(value.name, shape, generator), value.name))
    for node in graph.node:
        node.name = node.output[0]
    onnx.checker.check_model(model, full_check=True)
    return model


def _weight(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith(("_var", "_gain")):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) < 2:
        return generator.normal(0.0, 0.1, shape).astype(np.float32)
    fan_in = shape[0] if len(shape) == 2 else math.prod(shape[1:])
    weight = generator.normal(0.0, math.sqrt(2 / fan_in), shape)
    if name.endswith("_uneven"):
        weight *= 10.0 ** generator.uniform(-1.5, 0.5, (shape[0], *[1] * (len(shape) - 1)))
    return weight.astype(np.float32)
