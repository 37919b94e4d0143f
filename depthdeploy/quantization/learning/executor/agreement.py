"""Whether the executor computes what ONNX Runtime computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.learning.executor.executor import Executor


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two predictions of one photograph are from one another.

    Attributes:
        largest: the largest absolute difference of two elements, in the unit of the output.
        span: the largest minus the smallest element of ONNX Runtime's.
    """

    largest: float
    span: float

    @property
    def relative(self) -> float:
        """The largest difference as a part of the span; of a constant output, the difference itself."""
        return self.largest / self.span if self.span > 0 else self.largest


def agreement(model: OnnxModel, tensor: NDArray[np.float32], *, device: str = "cpu") -> Agreement:
    """Run one input tensor through both engines and compare the first output.

    Args:
        model: a stored graph.
        tensor: shaped as the graph's input, float32.
        device: where the executor computes.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
        QuantizationError: the executor lacks operators.
    """
    expected = OnnxSession(model.path).predict(tensor).astype(np.float64)
    executor = Executor(model, device=device)
    with torch.no_grad():
        results = executor.run({executor.inputs[0]: torch.from_numpy(tensor)})
    found = results[executor.outputs[0]].cpu().numpy().astype(np.float64)
    return Agreement(float(np.abs(found - expected).max()), float(np.ptp(expected)))
