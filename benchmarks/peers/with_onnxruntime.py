"""ONNX Runtime's static quantizer: Q/DQ, uint8 activations, int8 weights per channel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from peers.common import QUANTIZED, Made, Task, main

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Photographs as the calibrator asks for them."""

    def __init__(self, name: str, batches: Iterator[NDArray[np.float32]]) -> None:
        self._name, self._batches = name, batches

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantize(task: Task) -> Made:
    """``recipe``: ``minmax``, ``percentile`` (99.999, the tool's own default) or ``entropy``."""
    prepared = task.folder / "prepared.onnx"
    quant_pre_process(str(task.model), str(prepared), skip_symbolic_shape=True)
    session = ort.InferenceSession(str(prepared), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    del session
    quantize_static(
        str(prepared),
        str(task.folder / QUANTIZED),
        Reader(name, task.batches()),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=METHODS[task.recipe],
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
    )
    settings = f"quantize_static, QDQ, {task.recipe}, uint8 activations, int8 weights per channel, symmetric"
    return Made("onnxruntime", ort.__version__, settings)


if __name__ == "__main__":
    main(quantize)
