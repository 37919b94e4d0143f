"""ONNX Runtime on the CPU as the reference engine: FP32 runs and the exact emulation of Q/DQ graphs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from depthdeploy.errors import ModelError

#: Optimizations of ONNX Runtime that change a graph's function. ``Pad_Fusion`` of release 1.31 folds zeros into a
#: ``MaxPool``, whose own padding is minus infinity.
_WRONG_OPTIMIZERS = ("Pad_Fusion",)


def threads() -> int:
    """The processors that this process may use: what every session is given."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class OnnxSession:
    """An ONNX graph, opened in ONNX Runtime on the CPU.

    Args:
        path: the graph's file, or the graph itself, serialized.
        exact: execute every Q/DQ pair in float, so that no integer kernel can saturate: this is what *emulated* means.
            Constants are folded, but nothing that knows Q/DQ is fused, and no layout is changed: results are those of
            the graph as it stands, bit for bit. Otherwise all optimisations are on.
        intra_threads: threads within an operator; all processors when ``None``.

    Raises:
        ModelError: ONNX Runtime refuses the graph; its message is kept.
    """

    def __init__(self, path: Path | bytes, *, exact: bool = False, intra_threads: int | None = None) -> None:
        options = ort.SessionOptions()
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_EXTENDED if exact else level.ORT_ENABLE_ALL
        if exact:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.intra_op_num_threads = intra_threads or threads()
        options.inter_op_num_threads = 1
        # one block planned for a whole run lies beside the one before it: no time is gained, and memory is lost per run
        options.enable_mem_pattern = False
        # a session that spins while it waits takes the processors from whatever is timed or decoded beside it
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong is raised: it is not printed besides
        graph, name = (str(path), path.name) if isinstance(path, Path) else (path, "a part of the graph")
        try:
            self._session = ort.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=[*_WRONG_OPTIMIZERS]
            )
        except Exception as cause:  # ONNX Runtime raises its own untyped exceptions
            raise ModelError(f"ONNX Runtime cannot open {name}: {cause}.", "Check the graph.") from cause
        self.inputs = tuple(one.name for one in self._session.get_inputs())

    def run(self, tensor: NDArray[np.generic], outputs: Sequence[str] | None = None) -> list[NDArray[np.generic]]:
        """The named outputs (all of them by default) for one tensor, which goes to the first input."""
        return self.run_with({self.inputs[0]: tensor}, outputs)

    def run_with(
        self, tensors: Mapping[str, NDArray[np.generic]], outputs: Sequence[str] | None = None
    ) -> list[NDArray[np.generic]]:
        """The named outputs (all of them by default) for a tensor per input."""
        result: list[NDArray[np.generic]] = self._session.run(outputs, tensors)
        return result

    def predict(self, tensor: NDArray[np.generic]) -> NDArray[np.float32]:
        """The first output for one input tensor, float32."""
        return np.asarray(self.run(tensor)[0], dtype=np.float32)


def describe() -> str:
    """The engine's name and version, for reports."""
    return f"onnxruntime {ort.__version__} CPU"
