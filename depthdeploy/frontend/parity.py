"""Does the exported graph compute what the PyTorch network computes? Measured on real inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import ParityError
from depthdeploy.inference import OnnxSession

if TYPE_CHECKING:
    import torch

#: The largest difference that is accepted, as a share of the output's range. Measured with random and with trained
#: weights, the order of float32 sums makes 2e-6 (MiDaS v2.1 Small) and 1e-5 (Depth Anything V2 Small), and more in
#: deeper networks with outlier activations; a resize at the wrong coordinates makes 1e-2 and more. 1e-3 lies between,
#: and is a quarter of a step of eight bits over the same range: quantization cannot see it.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Parity:
    """How far ONNX Runtime is from PyTorch on the same tensors.

    Attributes:
        max_abs: the largest absolute difference of any pixel.
        mean_abs: the mean absolute difference.
        range: the largest less the smallest output of PyTorch, over all images.
        relative_max: ``max_abs / range``.
        tolerance: the largest ``relative_max`` that is accepted.
        images: how many inputs were compared.
    """

    max_abs: float
    mean_abs: float
    range: float
    relative_max: float
    tolerance: float
    images: int

    def __str__(self) -> str:
        plural = "" if self.images == 1 else "s"
        return (
            f"max {self.max_abs:.1e}, mean {self.mean_abs:.1e} of range {self.range:.3g} over {self.images} "
            f"image{plural} (tolerance {self.tolerance:.0e} of the range)"
        )


def check_parity(
    module: torch.nn.Module,
    model: OnnxModel,
    tensors: Iterable[NDArray[np.float32]],
    *,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Run both on every tensor and compare every pixel.

    Args:
        module: the network that was exported, in evaluation mode.
        model: its ONNX graph.
        tensors: inputs as the contract shapes them, ``[1, 3, H, W]`` float32; read one at a time.
        tolerance: the largest accepted difference, as a share of the output's range.

    Raises:
        ParityError: the difference is above the tolerance, an output is not finite, or there was nothing to compare.
    """
    session = OnnxSession(model.path)
    largest, total, pixels, images = 0.0, 0.0, 0, 0
    low, high = np.inf, -np.inf
    for tensor in tensors:
        expected, found = _predict(module, tensor), session.predict(tensor)
        if expected.shape != found.shape or not np.isfinite(expected).all() or not np.isfinite(found).all():
            raise ParityError(
                f"{model.name}: PyTorch gives {_described(expected)}, ONNX Runtime {_described(found)}.",
                "Check the weights and the size.",
            )
        difference = np.abs(expected - found)
        largest = max(largest, float(difference.max()))
        total += float(difference.sum(dtype=np.float64))
        pixels, images = pixels + difference.size, images + 1
        low, high = min(low, float(expected.min())), max(high, float(expected.max()))
    if not images:
        raise ParityError(f"{model.name}: there is no input to compare on.", "Give at least one photograph.")
    return _judged(
        model.name, Parity(largest, total / pixels, high - low, _share(largest, high - low), tolerance, images)
    )


def _predict(module: torch.nn.Module, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """PyTorch's output, on half of its threads.

    Its threads wait for one another without yielding: with a thread for every processor, one that another program (or
    ONNX Runtime's own pool) displaces holds up all. On two busy processors that is 5.7 s instead of 0.3 s per image.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    try:
        with torch.inference_mode():
            result: NDArray[np.float32] = module(torch.from_numpy(tensor)).numpy()
    finally:
        torch.set_num_threads(threads)
    return result


def _judged(name: str, parity: Parity) -> Parity:
    if not parity.relative_max <= parity.tolerance:
        raise ParityError(
            f"{name}: the ONNX graph does not compute what PyTorch computes: {parity}.",
            "Try another version of PyTorch, and report the network with both versions.",
        )
    return parity


def _share(difference: float, span: float) -> float:
    """Of a constant output no share can be taken: any difference at all is then infinite."""
    if span > 0:
        return difference / span
    return 0.0 if difference == 0 else float("inf")


def _described(array: NDArray[np.float32]) -> str:
    bad = int(np.count_nonzero(~np.isfinite(array)))
    return f"{array.shape}" + (f" with {bad} values that are not finite" if bad else "")
