"""Photographs on their way through the quantized network, brought forward from layer to layer.

At every cut of the strip only the tensors that are read behind it are kept, as integers where they lie on a grid, in
memory while they are small and in files otherwise. So no node is computed twice, and memory does not depend on how
many photographs there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.grid import Grid
from depthdeploy.core.quant import QuantPlan
from depthdeploy.errors import StorageError
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.fake_quant import ends_of, fake_quantize, scale_of
from depthdeploy.quantization.placement import source
from depthdeploy.quantization.strip import Strip

#: Bytes of kept tensors that stay in memory; what is larger lies in files.
_BUDGET = 160 << 20

#: Bytes of the largest tensor of photographs that are computed at once, and how many they are at most.
_CHUNK, _MOST = 32 << 20, 16

#: Told a layer's input for some photographs, the number of the first, and how many they are.
OnEntry = Callable[[Tensor, int, int], None]


def chunk_of(graph: ir.Graph) -> int:
    """How many photographs are computed at once, by the largest tensor of the graph."""
    shapes = [value.shape for node in graph for value in node.outputs if topology.is_activation(value)]
    sizes = [int(np.prod(shape.numpy())) for shape in shapes if shape is not None and shape.is_static()]
    return max(1, min(_MOST, _CHUNK // (4 * max(sizes, default=1))))


def chunks(photographs: Iterable[NDArray[np.float32]], size: int) -> Iterator[Tensor]:
    """Photographs joined along axis 0, ``size`` at a time."""
    waiting = iter(photographs)
    while part := list(islice(waiting, size)):
        yield torch.from_numpy(np.concatenate(part).astype(np.float32, copy=False))


class _Held:
    """One tensor for all photographs, chunk by chunk."""

    def __init__(self, grid: Grid | None, path: Path | None) -> None:
        self._integers = grid if grid is not None and grid.format.container == 8 else None
        self._path = path
        self._arrays: list[NDArray[np.generic]] = []
        self._places: list[tuple[int, tuple[int, ...], np.dtype[np.generic]]] = []
        self.bytes = 0

    def put(self, tensor: Tensor) -> None:
        array = self._packed(tensor)
        self.bytes += array.nbytes
        if self._path is None:
            self._arrays.append(array)
            return
        try:
            with self._path.open("ab") as stream:
                self._places.append((stream.tell(), array.shape, array.dtype))
                stream.write(array.data)
        except OSError as cause:
            raise StorageError(
                f"{self._path} cannot be written: {cause.strerror or cause}.", "Free some space; learning spills to it."
            ) from cause

    def get(self, chunk: int) -> Tensor:
        if self._path is None:
            array = self._arrays[chunk]
        else:
            at, shape, dtype = self._places[chunk]
            array = np.fromfile(self._path, dtype=dtype, count=int(np.prod(shape)), offset=at).reshape(shape)
        found = torch.from_numpy(array)
        if self._integers is None:
            return found
        return found.to(torch.float32).sub_(self._integers.zero_point[0]).mul_(self._integers.scale[0])

    def drop(self) -> None:
        self._arrays.clear()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _packed(self, tensor: Tensor) -> NDArray[np.generic]:
        grid = self._integers
        if grid is None:
            return np.ascontiguousarray(tensor.cpu().numpy())
        steps = (tensor / grid.scale[0]).round_().add_(grid.zero_point[0])
        return np.ascontiguousarray(steps.to(getattr(torch, grid.format.dtype)).cpu().numpy())


class QuantizedStream:
    """The photographs at a cut of the quantized network.

    Args:
        strip: the draft's graph.
        executor: the same graph in PyTorch.
        plan: its grids.
        folder: for what is too large for memory.
    """

    def __init__(self, strip: Strip, executor: Executor, plan: QuantPlan, folder: Path) -> None:
        self._strip, self._executor, self._folder = strip, executor, folder
        self._grids = {line.tensor: line.grid for line in plan.activations}
        self._lines = {line.node: line.grid for line in plan.weights}
        self._weights: dict[str, Tensor] = {}
        self._biases: dict[str, Tensor] = {}
        values = (*strip.graph.inputs, *(out for node in strip.nodes for out in node.outputs))
        self._values = {value.name: value for value in values if value.name}
        self._moving = _depending(strip)
        self._at, self._files = 0, 0
        self._held: dict[str, _Held] = {}
        self._counts: list[int] = []

    def begin(self, photographs: Iterable[NDArray[np.float32]], size: int) -> None:
        """Take the photographs in, to be computed ``size`` at once."""
        name = self._executor.inputs[0]
        path = self._new_file()
        for photo in chunks(photographs, size):
            self._counts.append(photo.shape[0])
            held = self._held.setdefault(name, _Held(self._grids.get(name), path))
            held.put(self._rounded(name, photo))

    def learned(self, node: str, weight: NDArray[np.float32], bias: tuple[str, NDArray[np.float32]] | None) -> None:
        """From now on a layer has this weight, and the initializer of its bias these values."""
        self._weights[node] = torch.from_numpy(weight).to(self._executor.device)
        if bias is not None:
            self._biases[bias[0]] = torch.from_numpy(bias[1]).to(self._executor.device)

    @torch.no_grad()
    def advance(self, stop: int, entry: str, on_entry: OnEntry | None) -> None:
        """Bring every photograph to the cut before the node ``stop``; a layer's input ``entry`` is shown on the way."""
        nodes = self._strip.nodes[self._at : stop]
        read = {value.name for node in nodes for value in node.inputs if value is not None}
        kept = [name for name in self._strip.frontier(stop) if name in self._moving]
        fresh = [name for name in kept if name not in self._held]
        known = {name: held for name, held in self._held.items() if name in read or name == entry}
        first = 0
        for chunk, count in enumerate(self._counts):
            given = {name: held.get(chunk) for name, held in known.items()}
            made: dict[str, Tensor] = {}
            if fresh:
                given = {name: tensor.to(self._executor.device) for name, tensor in given.items()}
                made = self._executor.run(
                    given, fresh, on_value=self._rounded, on_constant=self._constant, parameters=self._biases
                )
            if on_entry is not None:
                on_entry(made[entry] if entry in made else given[entry], first, count)
            for name in fresh:
                self._put(name, made[name])
            first += count
        for name in set(self._held) - set(kept):
            self._held.pop(name).drop()
        self._at = stop

    def close(self) -> None:
        """Take the files away."""
        for held in self._held.values():
            held.drop()
        self._held.clear()

    def _put(self, name: str, tensor: Tensor) -> None:
        if name not in self._held:
            used = sum(held.bytes for held in self._held.values())
            grid = self._grids.get(topology.name_of(source(self._values[name])))
            size = tensor.numel() * (tensor.element_size() if grid is None else 1) * len(self._counts)
            self._held[name] = _Held(grid, self._new_file() if used + size > _BUDGET else None)
        self._held[name].put(tensor)

    def _new_file(self) -> Path:
        path = self._folder / f"stream-{self._files}.bin"
        path.unlink(missing_ok=True)
        self._files += 1
        return path

    def _rounded(self, name: str, tensor: Tensor) -> Tensor:
        grid = self._grids.get(name)
        if grid is None:
            return tensor
        with torch.no_grad():
            return fake_quantize(tensor, scale_of(grid, 0, tensor.device), ends_of(grid, 0))

    def _constant(self, node: str, slot: int, tensor: Tensor) -> Tensor:
        if slot != 1 or node not in self._lines:
            return tensor
        if node not in self._weights:
            grid = self._lines[node]
            device = tensor.device
            scale, ends = scale_of(grid, tensor.ndim, device), ends_of(grid, tensor.ndim, device)
            self._weights[node] = fake_quantize(tensor, scale, ends)
        return self._weights[node]


def _depending(strip: Strip) -> frozenset[str]:
    """The values that depend on the photograph; what others hold is computed anew."""
    found = {value.name or "" for value in strip.graph.inputs}
    for node in strip.nodes:
        if any(value is not None and value.name in found for value in node.inputs):
            found.update(value.name or "" for value in node.outputs)
    return frozenset(found)
