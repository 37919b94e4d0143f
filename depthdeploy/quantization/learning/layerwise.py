"""Layer after layer: gather what each reads in the network quantized so far, learn its rounding, store it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.digest import digest_of
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.float_targets import FloatTargets
from depthdeploy.quantization.learning.layer_store import LayerStore, LearnedLayer
from depthdeploy.quantization.learning.patches import Places
from depthdeploy.quantization.learning.quantized_stream import QuantizedStream, chunk_of
from depthdeploy.quantization.learning.rounded_layers import RoundedLayer
from depthdeploy.quantization.learning.rounding import Course, Learner, Problem, Rows
from depthdeploy.quantization.learning.solving import Solution, solve, split
from depthdeploy.quantization.strip import Strip
from depthdeploy.quantization.workbench import Draft, Workbench

#: Fewer iterations than this are not worth beginning.
_FEWEST = 20

#: The work of one weight in an iteration, in multiplications: the sigmoid, the power, Adam.
_PER_WEIGHT = 60


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A graph and the layers of it that learn.

    Attributes:
        strip: the graph.
        layers: in the strip's order.
    """

    strip: Strip
    layers: Sequence[RoundedLayer]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done with every layer.

    Attributes:
        images: how many photographs are used.
        positions: output positions per photograph and layer at most.
        batch: photographs per iteration.
        course: how a layer learns; its rows are filled in.
    """

    images: int
    positions: int
    batch: int
    course: Course

    def course_of(self, places: Places) -> Course:
        """The course of one layer: an iteration sees as many rows as a batch of photographs has."""
        return replace(self.course, rows=min(self.batch, self.images) * places.count)


def learn_layers(
    draft: Draft, bench: Workbench, network: Network, task: Task, store: LayerStore
) -> dict[str, LearnedLayer]:
    """Learn every layer in the strip's order, or take it from the store.

    Args:
        draft: the graph and the plan.
        bench: photographs, seed, deadline, device, folder.
        network: the draft's graph and the layers to learn.
        task: what to do with each.
        store: where finished layers lie.

    Raises:
        QuantizationError: an operator has no counterpart in PyTorch, an activation is not finite, or there is not
            enough memory.
        StorageError: the folder cannot be written.
    """
    done: dict[str, LearnedLayer] = {}
    for layer in network.layers:
        found = store.take(layer.name)
        if found is None:
            break
        done[layer.name] = found
    if len(done) == len(network.layers):
        return done
    work = _Work(draft, bench, network, task)
    try:
        work.run(done, store)
    finally:
        work.close()
    return done


class _Work:
    """The two networks and the photographs on their way."""

    def __init__(self, draft: Draft, bench: Workbench, network: Network, task: Task) -> None:
        self._bench, self._layers, self._task = bench, network.layers, task
        self._executor = Executor(topology.load(draft.model), device=bench.device)
        self._places = [Places.of(one, _output_shape(one), task.positions, bench.seed) for one in network.layers]
        self._size = chunk_of(network.strip.graph)
        self._targets: FloatTargets | None = None
        self._stream = QuantizedStream(network.strip, self._executor, draft.plan, bench.folder)
        self._stream.begin(bench.photographs.first(task.images), self._size)

    def close(self) -> None:
        """Take the files away."""
        self._stream.close()
        if self._targets is not None:
            self._targets.close()

    def run(self, done: dict[str, LearnedLayer], store: LayerStore) -> None:
        """Every layer that is not done."""
        self._targets = FloatTargets(self._bench.folder, self._places[len(done) :])
        self._targets.gather(self._executor, self._bench.photographs.first(self._task.images), self._size)
        for index, layer in enumerate(self._layers):
            self._tell(index, 0)
            if layer.name not in done:
                done[layer.name] = self._learned(index)
                store.put(layer.name, done[layer.name])
            else:
                self._stream.advance(layer.start, layer.entry, None)
            found = done[layer.name]
            bias = (layer.bias, found.bias) if found.bias.size else None
            self._stream.learned(layer.name, found.weight, bias)
        self._tell(len(self._layers), 0)

    def _tell(self, index: int, iterations: int) -> None:
        each = max(self._task.course.iterations, 1)
        self._bench.progress(index * each + iterations, len(self._layers) * each)

    def _learned(self, index: int) -> LearnedLayer:
        layer, places = self._layers[index], self._places[index]
        problem = layer.problem(self._bias(layer), self._bench.device)
        if not self._bench.deadline.left:
            return _described(layer, Solution.nearest(problem), cut=True)
        rows = self._gathered(layer, places, problem)
        seed = int(digest_of((self._bench.seed, "rounding", layer.name))[:12], 16)
        course = self._task.course_of(places)
        try:
            iterations = self._affordable(index, problem, rows, course)
            if iterations < min(_FEWEST, course.iterations):
                return _described(layer, Solution.nearest(problem), cut=True)
            cut = iterations < course.iterations
            shorter = replace(course, iterations=iterations)
            solution = solve(problem, rows, shorter, seed, lambda count: self._tell(index, count))
        except (RuntimeError, MemoryError) as cause:
            if not _out_of_memory(cause):
                raise
            raise self._too_large(layer, problem, rows, course) from cause
        return _described(layer, solution, cut=cut)

    def _bias(self, layer: RoundedLayer) -> NDArray[np.float32] | None:
        return None if not layer.bias else self._executor.constant(layer.bias).cpu().numpy().astype(np.float32)

    def _gathered(self, layer: RoundedLayer, places: Places, problem: Problem) -> Rows:
        """What the layer reads and should give; integers stay integers, a quarter of the bytes."""
        groups, outputs, fan_in = problem.weight.shape
        grid = layer.entry_grid if layer.entry_grid is not None and layer.entry_grid.format.container == 8 else None
        dtype = torch.float32 if grid is None else getattr(torch, grid.format.dtype)
        scale, zero = (1.0, 0.0) if grid is None else (grid.scale[0], float(grid.zero_point[0]))
        shape = (self._task.images * places.count, groups * fan_in)
        inputs = torch.empty(shape, dtype=dtype, device=self._bench.device)

        def on_entry(entry: Tensor, first: int, count: int) -> None:
            found = places.inputs(entry, first, count)
            if grid is not None:
                found = found.div_(scale).round_().add_(zero)
            inputs[first * places.count : (first + count) * places.count] = found.to(inputs)

        self._stream.advance(layer.start, layer.entry, on_entry)
        assert self._targets is not None
        return Rows(inputs, scale, zero, self._targets.read(layer.name, groups * outputs, self._bench.device))

    def _affordable(self, index: int, problem: Problem, rows: Rows, course: Course) -> int:
        """How many iterations fit into the layer's share of the time that is left; all without a deadline."""
        left = self._bench.deadline.left
        if math.isinf(left) or problem.exact:
            return course.iterations
        trial = Learner(problem, split(rows)[0], course, 0)
        trial.step(0)
        since = time.monotonic()
        for _ in range(3):
            trial.step(course.iterations)
        seconds = (time.monotonic() - since) / 3
        works = [self._operations(one) for one in range(index, len(self._layers))]
        return min(course.iterations, int(left * works[0] / sum(works) / max(seconds, 1e-9)))

    def _operations(self, index: int) -> int:
        weights = int(np.prod(self._layers[index].weight.shape))
        return weights * (self._task.course_of(self._places[index]).rows + _PER_WEIGHT)

    def _too_large(self, layer: RoundedLayer, problem: Problem, rows: Rows, course: Course) -> QuantizationError:
        """What to do about too little memory: the largest batch of which an iteration fits."""
        batch = min(self._task.batch, self._task.images) // 2
        each = course.rows // min(self._task.batch, self._task.images)
        while batch >= 1:
            try:
                Learner(problem, split(rows)[0], replace(course, rows=batch * each), 0).step(0)
                break
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                batch //= 2
        remedy = f"Set batch_size to {batch} or less" if batch else "Set positions lower, or learn on another device"
        return QuantizationError(
            f"Learning the rounding of {layer.name} does not fit into memory with {course.rows} rows at once "
            f"(batch_size {self._task.batch}, {each} positions each).",
            f"{remedy}.",
        )


def _described(layer: RoundedLayer, solution: Solution, *, cut: bool) -> LearnedLayer:
    changed = bool(layer.bias) and layer.bias_limit.size and solution.iterations
    bias = solution.bias.reshape(layer.bias_shape).cpu().numpy() if changed else np.zeros(0, dtype=np.float32)
    weight = layer.stored(solution)
    return LearnedLayer(weight, bias, solution.before, solution.after, solution.iterations, cut, solution.rolled_back)


def _out_of_memory(error: BaseException) -> bool:
    words = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "not enough memory" in words


def _output_shape(layer: RoundedLayer) -> tuple[int, ...]:
    value = layer.node.outputs[0]
    if value.shape is None or not value.shape.is_static():
        raise QuantizationError(
            f"The output of {layer.name} has no static shape.", "Export the network with a fixed input size."
        )
    return tuple(int(side) for side in value.shape.numpy())
