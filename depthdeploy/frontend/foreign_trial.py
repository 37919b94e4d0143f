"""A foreign network is tried before it is believed: it runs, it gives numbers, and an upgrade changed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import ModelError
from depthdeploy.inference import OnnxSession

#: The largest change that an opset upgrade may make, as a share of the output's range.
_SAME = 1e-3


def trial(model: OnnxModel, asked: str) -> NDArray[np.float32]:
    """One run: sizes that are baked into the graph and do not fit show here at the latest."""
    try:
        found = OnnxSession(model.path).predict(_probe(model))
    except Exception as cause:  # ONNX Runtime raises its own untyped exceptions
        raise ModelError(
            f"The graph does not run at {asked}: {_plain_reason(model) or ' '.join(str(cause).split())}",
            "Give the network's own size after --size, or export it for this one.",
        ) from cause
    if not np.isfinite(found).all():
        count = np.count_nonzero(~np.isfinite(found))
        raise ModelError(
            f"The depth map of a noise image in the input's range has {count} of {found.size} values that are not "
            "finite.",
            "Check --input-range, --mean and --std, or export the network anew in float32.",
        )
    return found


def _plain_reason(model: OnnxModel) -> str:
    """Why a graph does not run as it stands: optimised, nodes have names that the file does not know."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
        session.run(None, {model.input.name: _probe(model)})
    except Exception as cause:  # ONNX Runtime raises its own untyped exceptions
        return " ".join(str(cause).split())
    return ""


def _probe(model: OnnxModel) -> NDArray[np.float32]:
    """One noise image in the input's units, always the same."""
    return np.random.default_rng(0).uniform(0, model.contract.scale, model.input.shape).astype(np.float32)


def compared(
    path: Path,
    original: onnx.ModelProto,
    model: OnnxModel,
    found: NDArray[np.float32],
    output: str | None,
) -> str:
    """How much the upgrade changed on one image, in words.

    Raises:
        ModelError: the upgraded graph is another function.
    """
    chosen = output or original.graph.output[0].name
    image = next(v for v in original.graph.input if v.name not in {i.name for i in original.graph.initializer})
    dtype = onnx.helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    expected = np.asarray(OnnxSession(path).run(_probe(model).astype(dtype), [chosen])[0], dtype=np.float32)
    span = float(np.ptp(expected)) or 1.0
    change = float(np.abs(expected.reshape(found.shape) - found).max()) / span
    if not change <= _SAME:
        raise ModelError(
            f"{path.name} computes something else after its upgrade to opset {model.opset}: {change:.1e} of the range.",
            f"Export the network anew with opset {model.opset} or later.",
        )
    return f"; the output changed by {change:.1e} of its range"


def see_output_shape(graph: ir.Model, shape: Sequence[int], asked: str) -> None:
    """Give the output the shape that it has in a run, where ONNX cannot infer one: sizes computed in floats, say.

    Raises:
        ModelError: the graph does not run at this size.
    """
    output = graph.graph.outputs[0]
    if output.shape is not None and output.shape.is_static():
        return
    try:
        found = OnnxSession(ir.to_proto(graph).SerializeToString()).run(np.zeros(tuple(shape), np.float32))[0]
    except Exception as cause:  # ONNX Runtime raises its own untyped exceptions
        raise ModelError(
            f"The graph does not run at {asked}: {' '.join(str(cause).split())}",
            "Give the network's own size after --size, or export it for this one.",
        ) from cause
    output.shape = ir.Shape(found.shape)
