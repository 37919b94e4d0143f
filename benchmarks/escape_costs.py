"""What a multiply-accumulate in float costs in units of the same in int8: the ``cost`` of a target's ``fp32`` escape.

Both graphs of one network run in turn in one process, in ONNX Runtime and in OpenVINO, so that what else the machine
does meets all of them. Printed are the lower quartile and the median of each, and their ratios, which are what is kept.

    python benchmarks/escape_costs.py midas.onnx depthdeploy-out/.../model.onnx
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/escape_costs.py midas.onnx depthdeploy-out/.../model.onnx
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import openvino
from numpy.typing import NDArray

from depthdeploy.inference import OnnxSession

Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("float_graph", type=Path)
    parser.add_argument("quantized_graph", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    graphs = (chosen.float_graph, chosen.quantized_graph)
    runs: dict[tuple[str, int], Run] = {}
    for index, graph in enumerate(graphs):
        runs["onnxruntime", index] = _onnxruntime(graph, chosen.threads)
        runs["openvino", index] = _openvino(graph, chosen.threads)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for _ in range(chosen.rounds):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            times[key].append(1000 * (time.perf_counter() - start))
    for runtime in ("onnxruntime", "openvino"):
        slow, quick = (np.percentile(times[runtime, index], (25, 50)) for index in (0, 1))
        print(f"{runtime}: float {slow.round(2)} ms, int8 {quick.round(2)} ms, ratio {(slow / quick).round(2)}")


def _image(path: Path) -> NDArray[np.float32]:
    shape = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    image: NDArray[np.float32] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return image


def _onnxruntime(path: Path, threads: int) -> Run:
    session, image = OnnxSession(path, intra_threads=threads), _image(path)
    return lambda: session.run(image)


def _openvino(path: Path, threads: int) -> Run:
    core, image = openvino.Core(), _image(path)
    settings = {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"
    }  # fmt: skip
    request = core.compile_model(core.read_model(str(path)), "CPU", settings).create_infer_request()
    return lambda: request.infer([image])


if __name__ == "__main__":
    main()
