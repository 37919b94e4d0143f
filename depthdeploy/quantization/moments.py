"""Moments of patches: mean and covariance of what the weights of a layer meet, gathered photograph by photograph."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.inference import OnnxSession, threads
from depthdeploy.quantization import topology
from depthdeploy.quantization.layers import Layer
from depthdeploy.quantization.patches import Geometry, sample
from depthdeploy.quantization.side_by_side import in_order

#: Photographs that run side by side at most: beyond, little time is gained and memory is lost.
_MOST_WORKERS = 4

#: Patches of one layer that are multiplied together: with few, time goes into adding up large matrices, or into
#: starting thousands of small products, one a group. Patches of groups are held for less long: theirs are many.
_TOGETHER, _TOGETHER_IN_GROUPS = 256, 64

#: Patches that are enough for the moments, for every value of a patch, and from one photograph in any case.
_PER_VALUE, _LEAST = 16, 16


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of the patches of one layer.

    Attributes:
        mean: ``[groups, fan in]`` float64.
        covariance: ``[groups, fan in, fan in]`` float64.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(slots=True, eq=False)
class _Sums:
    """Sums over patches of their distance from the first photograph's mean, which keeps float32 from cancelling."""

    origin: NDArray[np.float32]
    first: NDArray[np.float64]
    second: NDArray[np.float32]
    waiting: list[NDArray[np.float32]] = field(default_factory=list)
    count: int = 0

    @classmethod
    def around(cls, patches: NDArray[np.float32]) -> _Sums:
        groups, fan_in, _ = patches.shape
        origin = patches.mean(axis=2, keepdims=True)
        return cls(origin, np.zeros((groups, fan_in)), np.zeros((groups, fan_in, fan_in), dtype=np.float32))

    def add(self, patches: NDArray[np.float32]) -> None:
        shifted = patches - self.origin
        self.first += shifted.sum(axis=2)
        self.count += patches.shape[2]
        self.waiting.append(shifted)
        if sum(one.shape[2] for one in self.waiting) >= (_TOGETHER if len(patches) == 1 else _TOGETHER_IN_GROUPS):
            self._multiply()

    def _multiply(self) -> None:
        if self.waiting:
            rows = self.waiting[0] if len(self.waiting) == 1 else np.concatenate(self.waiting, axis=2)
            if len(rows) == 1:
                self.second[0] += rows[0] @ rows[0].T  # half the work of two different matrices
            else:
                self.second += rows @ rows.transpose(0, 2, 1)
            self.waiting.clear()

    def moments(self) -> Moments:
        self._multiply()
        mean = self.first / self.count
        covariance = self.second.astype(np.float64) / self.count - mean[:, :, None] * mean[:, None, :]
        return Moments(mean + self.origin[:, :, 0], covariance)


@dataclass(frozen=True, slots=True, eq=False)
class _Computed(Mapping[str, Moments]):
    """Moments in float64, computed when they are asked for: those of all layers at once would take twice the memory."""

    sums: Mapping[str, _Sums]

    def __getitem__(self, label: str) -> Moments:
        return self.sums[label].moments()

    def __iter__(self) -> Iterator[str]:
        return iter(self.sums)

    def __len__(self) -> int:
        return len(self.sums)


def patch_moments(
    model: OnnxModel,
    tensors: Iterable[NDArray[np.generic]],
    layers: Sequence[tuple[Layer, Geometry]],
    *,
    images: int,
    positions: int,
    seed: int,
) -> Mapping[str, Moments]:
    """Run the float graph once over photographs and gather the moments of layers' patches.

    Of every photograph as many positions as wanted are drawn for each layer. Memory does not depend on the number of
    photographs, and the result does not depend on timing.

    Args:
        model: the graph of the layers.
        tensors: one input tensor per photograph, shaped as the graph's input; read once, as they are needed.
        layers: of which layers, and how they read their inputs.
        images: how many photographs there are.
        positions: drawn at most from one photograph, for one layer; fewer where fewer are enough.
        seed: of the positions.

    Returns:
        The layers' labels -> moments, computed at every access.

    Raises:
        QuantizationError: an input is NaN or infinite; the message names the layer and the photograph.
        CalibrationError: there is no photograph.
        ModelError: ONNX Runtime refuses the graph.
    """
    sums: dict[str, _Sums] = {}
    wanted = {
        layer.label: min(positions, max(_LEAST, math.ceil(_PER_VALUE * how.fan_in / images))) for layer, how in layers
    }
    with tempfile.TemporaryDirectory(prefix="depthdeploy-") as folder:
        path = Path(folder) / "inputs.onnx"
        names = _write(model, layers, path)
        workers = min(threads(), _MOST_WORKERS)
        session = OnnxSession(path, intra_threads=max(1, threads() // workers))

        def read(work: tuple[int, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
            index, photo = work
            rng = np.random.default_rng([seed, index])
            arrays = dict(zip(names, session.run(photo, names), strict=True)) if names else {}
            arrays[model.input.name] = photo
            return {
                layer.label: sample(arrays[topology.name_of(layer.input)], how, wanted[layer.label], rng)
                for layer, how in layers
            }

        for index, found in enumerate(in_order(read, enumerate(tensors), workers=workers)):
            for label, patches in found.items():
                if label not in sums:
                    sums[label] = _Sums.around(patches)
                sums[label].add(patches)
                if not np.all(np.isfinite(sums[label].first)):
                    raise QuantizationError(
                        f"The input of {label} is NaN or infinite on photograph {index} of the calibration set.",
                        "Look at the network's FP32 prediction for this photograph, or leave it out.",
                    )
    if layers and not sums:
        raise CalibrationError("No photograph was read.", "Calibrate with at least one photograph.")
    return _Computed(sums)


def _write(model: OnnxModel, layers: Sequence[tuple[Layer, Geometry]], path: Path) -> list[str]:
    """Write the graph with the layers' inputs as outputs, whose names are given back."""
    stored = topology.load(model)
    values = {value.name: value for node in stored.graph for value in node.outputs}
    names = dict.fromkeys(topology.name_of(layer.input) for layer, _ in layers)
    found = [name for name in names if name in values]
    for name in found:
        value = values[name]
        if not value.is_graph_output():
            value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
            stored.graph.outputs.append(value)
    ir.save(stored, path, external_data=f"{path.name}.data")  # weights in a file of their own are not copied
    return found
