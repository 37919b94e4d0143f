"""A quantized network that learns from the float one: steps of Adam, measured on photographs that are held out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.depth import DepthKind
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.checkpoint import State
from depthdeploy.quantization.learning.course import Course, Photographs
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.losses import depth_loss, feature_loss, noise_ratio
from depthdeploy.quantization.learning.quantized_network import QuantizedNetwork

#: A measurement so many dB below the best one means that the rate is too high.
_SETBACK = 1.0

#: Steps between two checkpoints, at most.
_BETWEEN = 50

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a network learns.

    Attributes:
        rates: the highest learning rate of each kind of displacement: ``weight``, ``bias``, ``scale``, ``step``.
        batch_size: photographs of one step.
        at_once: how many of them are computed at once; the gradient is the same.
        segments: see ``Executor.run``.
        features: names of activations that are compared besides the output.
        feature_weight: of all of them together; the output has 1.
        invariant_weight: of the scale-and-shift-invariant loss, for depth without a unit.
        kind: of depth.
    """

    rates: Mapping[str, float]
    batch_size: int
    at_once: int
    segments: int
    features: tuple[str, ...]
    feature_weight: float
    invariant_weight: float
    kind: DepthKind


class Lesson:
    """A student, its teacher and their photographs.

    Args:
        student: the quantized network.
        teacher: the float one.
        photographs: what is learned from and measured on.
        manner: how.
    """

    def __init__(self, student: QuantizedNetwork, teacher: Executor, photographs: Photographs, manner: Manner) -> None:
        self._student, self._teacher, self._photographs, self._manner = student, teacher, photographs, manner
        self._targets: dict[int, Tensor] = {}
        self._groups = [
            {"params": [tensor], "lr": rate, "highest": rate}
            for key, tensor in student.displacements.items()
            if (rate := manner.rates[key.partition(":")[0]]) > 0
        ]
        # one tensor after the other, so that no memory is taken for all at once
        self._optimizer = torch.optim.Adam(self._groups, foreach=False)

    @property
    def learns(self) -> bool:
        """Whether there is anything to learn."""
        return bool(self._groups)

    def train(
        self, course: Course, state: State, *, keep: Callable[[State], None], go_on: Callable[[State], bool]
    ) -> None:
        """Take the steps that are left; after a measurement much below the best, from there on at half the rate.

        Args:
            course: how many there are, and their rates.
            state: where it stands; changed.
            keep: called after every measurement and every 50 steps.
            go_on: asked before every step.
        """
        self._restore(state)
        while state.done < course.steps and not state.diverged and go_on(state):
            finite = self.step(state.done, course.rate(state.done) * 0.5**state.setbacks)
            state.done += 1
            state.diverged = not finite
            if not state.diverged and course.measured(state.done):
                self._measured(state)
            if not state.diverged and (course.measured(state.done) or state.done % _BETWEEN == 0):
                state.displacements, state.optimizer = self._copied(), self._optimizer.state_dict()
                keep(state)
                state.displacements, state.optimizer = {}, {}
        if not state.diverged and state.done and not course.measured(state.done):
            self._measured(state)

    def step(self, number: int, rate: float) -> bool:
        """One step of Adam; whether the loss and what it led to are finite."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.gradients(self._photographs.batch(number, self._manner.batch_size))
        if not math.isfinite(loss):
            return False
        for group in self._optimizer.param_groups:
            group["lr"] = group["highest"] * rate
        self._optimizer.step()
        return all(bool(tensor.isfinite().all()) for tensor in self._student.displacements.values())

    def gradients(self, photographs: Image) -> float:
        """The mean loss of a batch; its gradients are added to those of the displacements."""
        total = 0.0
        for start in range(0, len(photographs), self._manner.at_once):
            part = torch.from_numpy(photographs[start : start + self._manner.at_once])
            loss = self._loss(part) / len(photographs)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _loss(self, part: Tensor) -> Tensor:
        manner, student = self._manner, self._student
        names = (student.output, *manner.features)
        with torch.no_grad():
            wanted = self._teacher.run({self._teacher.inputs[0]: part}, [self._teacher.outputs[0], *manner.features])
        found = student.run(part, names, segments=manner.segments)
        depth, target = found[student.output], wanted[self._teacher.outputs[0]]
        count = len(part)
        loss = depth_loss(depth.reshape(count, -1), target.reshape(count, -1), manner.kind, manner.invariant_weight)
        if manner.features and manner.feature_weight > 0:
            maps, targets = ([values[name] for name in manner.features] for values in (found, wanted))
            loss = loss + manner.feature_weight * feature_loss(maps, targets, count)
        return loss

    def measure(self, student: QuantizedNetwork | None = None) -> float:
        """Mean SQNR in dB of a network's output on the photographs that are held out; the student's by default."""
        network = student or self._student
        ratios: list[Tensor] = []
        with torch.no_grad():
            for index, tensors in enumerate(self._photographs.to_measure(self._manner.at_once)):
                part = torch.from_numpy(tensors)
                if index not in self._targets:
                    found = self._teacher.run({self._teacher.inputs[0]: part}, [self._teacher.outputs[0]])
                    self._targets[index] = found[self._teacher.outputs[0]].reshape(len(part), -1)
                depth = network.run(part)[network.output].reshape(len(part), -1)
                ratios.append(noise_ratio(depth, self._targets[index]))
        found_ratios = torch.cat(ratios).double().clamp_min(1e-15)
        return float((-10 * found_ratios.log10()).mean())

    def pace(self) -> tuple[float, float]:
        """Seconds of a step and of a measurement; nothing is learned meanwhile."""
        batch = self._photographs.batch(0, self._manner.batch_size)
        self.gradients(batch)  # the first one also reads files and makes plans
        since = time.monotonic()
        self.gradients(batch)
        step = time.monotonic() - since
        self._optimizer.zero_grad(set_to_none=True)
        since = time.monotonic()
        self.measure()
        return step, time.monotonic() - since

    def _measured(self, state: State) -> None:
        value = self.measure()
        if not math.isfinite(value):
            state.diverged = True
        elif value > state.best:
            state.best, state.best_step, state.kept = value, state.done, self._copied()
        elif value < state.best - _SETBACK:
            self._back(state)

    def _back(self, state: State) -> None:
        """To the best step, or the start, at half the rate: networks differ in what they stand."""
        nothing = {key: torch.zeros_like(tensor) for key, tensor in self._student.displacements.items()}
        self._student.assign(state.kept or nothing)
        self._optimizer.state.clear()
        state.setbacks += 1

    def _copied(self) -> dict[str, Tensor]:
        return {key: tensor.detach().clone() for key, tensor in self._student.displacements.items()}

    def _restore(self, state: State) -> None:
        if state.displacements:
            self._student.assign(state.displacements)
            self._optimizer.load_state_dict(state.optimizer)
            state.displacements, state.optimizer = {}, {}

    def end(self) -> None:
        """Give back the memory that only steps need; measuring goes on to work."""
        self._optimizer.zero_grad(set_to_none=True)
        self._optimizer.state.clear()


def memory_advice(lesson: Callable[[int], Lesson], batch: Image, at_once: int, device: str) -> QuantizationError:
    """What to say when memory did not suffice: the number of photographs at once that fits, found by trying."""
    fitting = at_once // 2
    while fitting:
        try:
            lesson(fitting).gradients(batch[:fitting])
        except torch.OutOfMemoryError:
            fitting //= 2
        else:
            break
    if not fitting:
        return QuantizationError(
            f"The memory of {device} does not suffice to fine-tune this network with one photograph.",
            "Choose another device, or a smaller input.",
        )
    return QuantizationError(
        f"The memory of {device} does not suffice to fine-tune this network with {at_once} photographs at once.",
        f"Set batch_size = {fitting}, which fits.",
    )
