"""The heavy half of ONNX Runtime: the only file that imports it. Standard library and numpy besides, Python 3.8."""

from __future__ import annotations

import collections
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

_INTEGERS = ("int8", "uint8")
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "Cast", "ReorderInput", "ReorderOutput")


def versions() -> dict[str, str]:
    """Package -> version."""
    return {"onnxruntime": ort.__version__}


def compile(model: str, out_dir: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Put the graph, with its external data, into ``out_dir`` and run it there once, on zeros, with every optimisation.

    The artifact stays portable ONNX with Q/DQ pairs: which integer kernels they become is decided by the runtime on the
    machine that opens it, and its own optimised files hold for one processor and one release.
    """
    source = Path(model)
    for path in sorted(source.parent.iterdir()):
        shutil.copyfile(str(path), str(Path(out_dir) / path.name))
    session = _session(str(Path(out_dir) / source.name), settings)
    taken = session.get_inputs()[0]
    described = _description(taken)
    session.run(None, {taken.name: np.zeros(taken.shape, described[1])})
    return {
        "entry": source.name,
        "input": described,
        "output": _description(session.get_outputs()[0]),
    }


def open_runner(artifact: str, settings: Mapping[str, object]) -> Runner:
    """The artifact, ready to run."""
    return Runner(artifact, settings)


class Runner:
    """An artifact in ONNX Runtime on the CPU.

    Args:
        artifact: the graph.
        settings: ``threads``: within an operator; 0 or nothing: all processors.
    """

    def __init__(self, artifact: str, settings: Mapping[str, object]) -> None:
        self._artifact = artifact
        self._settings = settings
        self._session = _session(artifact, settings)
        self._input = self._session.get_inputs()[0].name

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The first output for one input, float32."""
        return np.asarray(self._session.run(None, {self._input: x})[0], dtype=np.float32)

    def profile(self, x: np.ndarray) -> list[tuple[str, str, str]]:
        """Name, operator and precision of every kernel that one run executed, by ONNX Runtime's own profiler."""
        with tempfile.TemporaryDirectory() as folder:
            session = _session(self._artifact, self._settings, profile=str(Path(folder) / "profile"))
            session.run(None, {self._input: x})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        suffix = "_kernel_time"
        return [
            (event["name"][: -len(suffix)], event["args"]["op_name"], _precision(event["args"]))
            for event in events
            if event.get("cat") == "Node" and event["name"].endswith(suffix)
        ]

    def describe(self) -> str:
        """The runtime, for reports."""
        return f"onnxruntime {ort.__version__} CPU, {self._settings.get('threads') or 'all'} threads"

    def close(self) -> None:
        """Free the session."""
        del self._session


def _session(path: str, settings: Mapping[str, object], profile: str = "") -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = int(str(settings.get("threads") or 0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait by spinning take the processors from whatever is measured beside this session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _description(argument: ort.NodeArg) -> tuple[str, str, list[int]]:
    names = collections.defaultdict(str, {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"})
    return argument.name, names[argument.type] or str(argument.type), list(argument.shape)


def _precision(arguments: Mapping[str, object]) -> str:
    """Of a kernel, by its operator and the element type of its data."""
    operator = str(arguments["op_name"])
    if operator in _CONVERSIONS:
        return "conversion"
    inputs = arguments.get("input_type_shape")
    kinds = [next(iter(item)) for item in inputs] if isinstance(inputs, list) else []
    if any(kind in _INTEGERS for kind in kinds[:1]):
        return "int8"
    return {"float": "fp32", "float16": "fp16"}.get(kinds[0] if kinds else "", kinds[0] if kinds else "none")
