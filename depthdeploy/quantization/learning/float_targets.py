"""What the float network gives at the sampled positions of every layer, gathered in one pass over the photographs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.progress import Progress, silent
from depthdeploy.errors import QuantizationError, StorageError
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.patches import Places
from depthdeploy.quantization.learning.quantized_stream import chunks


class FloatTargets:
    """One file per layer in a folder, rows in the order of the photographs.

    Args:
        folder: where the files lie.
        places: the layers and their positions.
    """

    def __init__(self, folder: Path, places: Sequence[Places]) -> None:
        self._paths = {one.layer.name: folder / f"targets-{index}.bin" for index, one in enumerate(places)}
        self._places = places

    @torch.no_grad()
    def gather(
        self,
        executor: Executor,
        photographs: Iterable[NDArray[np.float32]],
        size: int,
        progress: Progress = silent,
    ) -> None:
        """Run the float network.

        Args:
            executor: the network.
            photographs: input tensors.
            size: how many are computed at once.
            progress: told after every chunk, in photographs.

        Raises:
            QuantizationError: a layer gives NaN or infinity.
            StorageError: a file cannot be written.
        """
        wanted = {one.layer.output: one for one in self._places}
        try:
            with ExitStack() as stack:
                files = {one: stack.enter_context(self._paths[one.layer.name].open("wb")) for one in self._places}
                first = 0
                for photo in chunks(photographs, size):
                    count = photo.shape[0]

                    def keep(name: str, tensor: Tensor, first: int = first, count: int = count) -> Tensor:
                        if name in wanted:
                            rows = wanted[name].targets(tensor, first, count)
                            _check(rows, wanted[name].layer.name, first, count)
                            files[wanted[name]].write(np.ascontiguousarray(rows.cpu().numpy()).data)
                        return tensor

                    executor.run({executor.inputs[0]: photo}, on_value=keep)
                    first += count
                    progress(first, 0)
        except OSError as cause:
            raise StorageError(f"Targets cannot be written: {cause.strerror or cause}.", "Free some space.") from cause

    def read(self, name: str, outputs: int, device: str) -> Tensor:
        """The rows of one layer, ``[rows, outputs]`` float32; its file is gone afterwards."""
        path = self._paths[name]
        found = np.fromfile(path, dtype=np.float32).reshape(-1, outputs)
        path.unlink()
        return torch.from_numpy(found).to(device)

    def close(self) -> None:
        """Take the files away."""
        for path in self._paths.values():
            path.unlink(missing_ok=True)


def _check(rows: Tensor, layer: str, first: int, count: int) -> None:
    if not bool(torch.isfinite(rows).all()):
        raise QuantizationError(
            f"The float layer {layer} gives NaN or infinity on a photograph among numbers {first} to "
            f"{first + count - 1} of the calibration set.",
            "Look at the network's FP32 prediction for these photographs, or leave them out.",
        )
