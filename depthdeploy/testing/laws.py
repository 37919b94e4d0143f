"""Laws that every rewrite of a graph must keep, for the authors of passes, models and targets."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray


def assert_same_function(
    before: ir.Model | onnx.ModelProto,
    after: ir.Model | onnx.ModelProto,
    *,
    seed: int = 0,
    atol: float = 1e-5,
    rtol: float = 1e-4,
) -> None:
    """A rewrite may change the graph, never the function that it computes nor the names at its ends.

    Both graphs are run without graph optimisation on one normal image. ``atol`` is a share of the largest absolute
    value of the output, so that the law means the same for metres and for inverse depth.

    Raises:
        AssertionError: the outputs differ, in name, shape or value, or a value is not finite.
    """
    first, second = as_proto(before), as_proto(after)
    for part in ("input", "output"):
        ends = [[value.name for value in getattr(proto.graph, part)] for proto in (first, second)]
        if ends[0] != ends[1]:
            raise AssertionError(f"the {part}s were {ends[0]} and became {ends[1]}")
    shape = [dimension.dim_value for dimension in first.graph.input[0].type.tensor_type.shape.dim]
    image = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    for expected, found in zip(outputs(first, image), outputs(second, image), strict=True):
        if not np.isfinite(expected).all():
            raise AssertionError("the graph gives values that are not finite: nothing can be compared")
        largest = float(np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=atol * largest, rtol=rtol)


def outputs(model: onnx.ModelProto, image: NDArray[np.float32] | NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Every output of a graph for one image, run by ONNX Runtime as the graph stands."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: list[NDArray[np.float32]] = session.run(None, {session.get_inputs()[0].name: image})
    return result


def as_proto(model: ir.Model | onnx.ModelProto) -> onnx.ModelProto:
    """The protobuf of a graph; a protobuf is given back."""
    return ir.to_proto(model) if isinstance(model, ir.Model) else model
