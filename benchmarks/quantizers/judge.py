"""The judges, each a process: ``exact`` (Q/DQ in float) and ``kernels`` (integer kernels), scored alike.

``python -m quantizers.judge JUDGE FLOAT QUANTIZED EVALUATION KIND OUT``. The reference is always the FP32 ONNX graph in
ONNX Runtime, and the figures are those of the project's reports: ``depthdeploy.core.fidelity``, whose alignment
follows the kind of depth (none for metres, one median scale per photograph for the rest).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthKind
from depthdeploy.core.fidelity import FloatMap, fidelity_alignment, fidelity_scores
from depthdeploy.core.metrics import Distribution
from depthdeploy.inference import OnnxSession

Array = NDArray[np.float32]
Predict = Callable[[Array], Array]

#: What is kept of every photograph's scores.
METRICS = ("delta1", "sqnr_db")


def opened(judge: str, graph: Path) -> Predict:
    """A quantized network ready to run.

    Args:
        judge: ``exact``, ``onnxruntime`` or ``openvino``; an IR is run by OpenVINO under every judge.
        graph: an ONNX file or an IR's ``.xml``.

    Raises:
        SystemExit: the judge is unknown, or cannot run the file.
    """
    if judge == "exact" and graph.suffix == ".onnx":
        return OnnxSession(graph, exact=True).predict
    if judge == "onnxruntime" and graph.suffix == ".onnx":
        return OnnxSession(graph).predict
    if judge in ("exact", "openvino"):
        return _openvino(graph, exact=judge == "exact")
    raise SystemExit(f"the judge {judge} cannot run {graph.name}")


def _openvino(graph: Path, *, exact: bool) -> Predict:
    """OpenVINO's CPU plug-in; exact: no layer becomes an integer kernel, ``FakeQuantize`` runs in float."""
    import openvino as ov

    core = ov.Core()
    config: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if exact:
        config["LP_TRANSFORMS_MODE"] = "NO"
    compiled = core.compile_model(str(graph), "CPU", config)
    request = compiled.create_infer_request()

    def predict(tensor: Array) -> Array:
        result = request.infer([np.ascontiguousarray(tensor)])
        return np.array(result[compiled.output(0)], dtype=np.float32)

    return predict


def scores(predict: Predict, reference: Predict, photographs: Array, kind: DepthKind) -> dict[str, list[float]]:
    """Metric -> the score of every photograph."""
    alignment = fidelity_alignment(kind)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for tensor in photographs:
        wanted = FloatMap.of(np.squeeze(reference(tensor[None])))
        values = fidelity_scores(np.squeeze(predict(tensor[None])), wanted, alignment=alignment)
        for name in METRICS:
            found[name].append(values[name])
    return found


def summary(found: dict[str, list[float]]) -> dict[str, float]:
    """Mean over photographs and the 5th percentile of every metric."""
    result: dict[str, float] = {}
    for name, values in found.items():
        spread = Distribution.of({str(index): value for index, value in enumerate(values)}, higher_is_better=True)
        result |= {name: spread.mean, f"{name}_p5": spread.p5}
    return result


def main(*arguments: str) -> None:
    """Write the summary as JSON."""
    judge, reference, quantized, evaluation, kind, out = arguments
    photographs = np.load(evaluation, mmap_mode="r")
    predict, wanted = opened(judge, Path(quantized)), OnnxSession(Path(reference)).predict
    found = summary(scores(predict, wanted, photographs, DepthKind(kind)))
    Path(out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
