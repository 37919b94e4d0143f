"""What a layer reads and gives at chosen output positions: convolutions become products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.digest import digest_of
from depthdeploy.quantization.learning.executor.operators_linear import cropped
from depthdeploy.quantization.learning.executor.windows import windows
from depthdeploy.quantization.learning.rounded_layers import RoundedLayer

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The output positions of a layer that are sampled, the same number on every photograph.

    Attributes:
        layer: the layer.
        count: positions per photograph.
        seed: of the sampling.
        size: positions that the layer's output has on one photograph.
    """

    layer: RoundedLayer
    count: int
    seed: int
    size: int

    @classmethod
    def of(cls, layer: RoundedLayer, output: Sequence[int], most: int, seed: int) -> Places:
        """``most`` positions per photograph, or all.

        Args:
            layer: the layer.
            output: the shape of its output for one photograph: ``[1, outputs, ...]`` or ``[..., outputs]``.
            most: positions at most.
            seed: of everything random.
        """
        spatial = output[2:] if layer.kind in ("Conv", "ConvTranspose") else output[:-1]
        size = int(np.prod(spatial, dtype=np.int64))
        return cls(layer, min(most, size), int(digest_of((seed, layer.name))[:12], 16), size)

    def on(self, photograph: int) -> Index:
        """The positions on one photograph, ``[count]``, in random order."""
        return np.random.default_rng([self.seed, photograph]).choice(self.size, self.count, replace=False)

    def targets(self, output: Tensor, first: int, photographs: int) -> Tensor:
        """``[photographs * count, outputs]`` of the layer's output for several photographs from ``first`` on."""
        if self.layer.kind in ("Conv", "ConvTranspose"):
            flat = output.flatten(2)
            parts = [flat[i][:, self._tensor(first + i, output.device)].T for i in range(photographs)]
        else:
            flat = output.reshape(photographs, self.size, output.shape[-1])
            parts = [flat[i][self._tensor(first + i, output.device)] for i in range(photographs)]
        return torch.cat(parts)

    def inputs(self, entry: Tensor, first: int, photographs: int) -> Tensor:
        """``[photographs * count, groups * fan_in]`` of what the layer reads, zeros where it reads padding."""
        if self.layer.kind not in ("Conv", "ConvTranspose"):
            flat = entry.reshape(photographs, self.size, entry.shape[-1])
            return torch.cat([flat[i][self._tensor(first + i, entry.device)] for i in range(photographs)])
        reads = read_positions(self.layer, entry.shape[2:])
        flat, parts = entry.flatten(2), []
        for i in range(photographs):
            index = torch.from_numpy(reads[self.on(first + i)]).to(entry.device)  # [count, kernel]
            found = flat[i][:, index.clamp(min=0)] * (index >= 0)
            parts.append(found.permute(1, 0, 2).reshape(self.count, -1))
        return torch.cat(parts)

    def _tensor(self, photograph: int, device: torch.device) -> Tensor:
        return torch.from_numpy(self.on(photograph)).to(device)


def read_positions(layer: RoundedLayer, sizes: Sequence[int]) -> Index:
    """``[output positions, kernel]``: which position of the input each element of the kernel reads; -1 for none.

    Args:
        layer: a convolution, or a transposed one.
        sizes: of the input's spatial axes.
    """
    kernel = layer.weight.shape[2:]
    window = windows(layer.attributes, kernel, sizes)
    axes: list[Index] = []
    if layer.kind == "Conv":
        counts = window.counts(sizes, ceil=False)
        for axis, count in enumerate(counts):
            starts = np.arange(count)[:, None] * window.strides[axis] - window.begin[axis]
            reads = starts + np.arange(kernel[axis]) * window.dilations[axis]
            axes.append(np.where((reads >= 0) & (reads < sizes[axis]), reads, -1))
    else:
        extra = layer.attributes.integers("output_padding", [0] * len(kernel))
        begin, end = cropped(layer.attributes, window, torch.Size(sizes), extra)
        for axis, size in enumerate(sizes):
            stride = window.strides[axis]
            count = stride * (size - 1) + window.extent[axis] + extra[axis] - begin[axis] - end[axis]
            places = np.arange(count)[:, None] + begin[axis] - np.arange(kernel[axis]) * window.dilations[axis]
            fits = (places % stride == 0) & (places >= 0) & (places // stride < size)
            axes.append(np.where(fits, places // stride, -1))
    return _combined(axes, sizes)


def _combined(axes: Sequence[Index], sizes: Sequence[int]) -> Index:
    """The positions of all axes together: ``[positions of each, kernel of each]`` -> ``[positions, kernel]``."""
    whole = np.zeros((1, 1), dtype=np.int64)
    for reads, size in zip(axes, sizes, strict=True):
        inside = (whole[:, None, :, None] >= 0) & (reads[None, :, None, :] >= 0)
        joined = np.where(inside, whole[:, None, :, None] * size + reads[None, :, None, :], -1)
        whole = joined.reshape(whole.shape[0] * reads.shape[0], whole.shape[1] * reads.shape[1])
    return whole
