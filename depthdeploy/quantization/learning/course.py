"""How long learning goes on, how fast, and over which photographs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy.quantization.workbench import CalibrationTensors

#: More bytes than these lie in a file, not in memory.
_IN_MEMORY = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Course:
    """The steps of one training.

    Attributes:
        per_epoch: steps that one pass over the photographs takes.
        steps: how many there are in all.
        warmup: the share of them in which the rate rises, 0..1.
    """

    per_epoch: int
    steps: int
    warmup: float

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0) relative to the highest: a straight rise, then half a cosine."""
        rise = math.ceil(self.warmup * self.steps)
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))

    def measured(self, step: int) -> bool:
        """Whether the network is measured when so many steps are done: after every epoch and at the end."""
        return step % self.per_epoch == 0 or step == self.steps

    def within(self, seconds: float, *, step: float, measure: float) -> Course:
        """The course that fits into a time; perhaps one of no steps.

        Args:
            seconds: what is left.
            step: seconds that a step takes.
            measure: seconds that one measurement takes; one more is needed for the result.
        """
        if not math.isfinite(seconds):
            return self
        room = seconds - 2 * measure
        epochs, rest = divmod(max(0.0, room), self.per_epoch * step + measure)
        fitting = int(epochs) * self.per_epoch + int(max(0.0, rest) // step)
        return replace(self, steps=min(self.steps, fitting))


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """What is learned from, and what is looked at to see whether it helped.

    Attributes:
        tensors: ``[N, 3, H, W]`` float32, in memory or mapped from a file.
        learned: which of them are learned from.
        held_out: which of them are not.
        seed: of their order.
        width: the axis of their columns, mirrored at random; 0 where nothing is.
    """

    tensors: NDArray[np.float32]
    learned: NDArray[np.intp]
    held_out: NDArray[np.intp]
    seed: int
    width: int = 0

    @classmethod
    def of(
        cls, tensors: NDArray[np.float32], *, held_out: float, seed: int, width: int = 0, most: int | None = None
    ) -> Photographs:
        """Photographs of which a seeded part is held out.

        Args:
            tensors: at least two.
            held_out: which part, rounded up, one at least.
            seed: of the choice, and of the order in which the others are learned from.
            width: the axis to mirror at random, 0 for none.
            most: how many are held out at most.
        """
        order = np.random.default_rng([seed, len(tensors)]).permutation(len(tensors))
        count = min(len(tensors) - 1, max(1, math.ceil(held_out * len(tensors))), most or len(tensors))
        return cls(tensors, np.sort(order[count:]), np.sort(order[:count]), seed, width)

    def batch(self, step: int, size: int) -> NDArray[np.float32]:
        """The photographs of a step: every epoch has an order of its own, which the seed alone decides."""
        per_epoch = len(self.learned) // size
        epoch, place = divmod(step, per_epoch)
        rng = np.random.default_rng([self.seed, epoch])
        chosen = rng.permutation(self.learned)[place * size : (place + 1) * size]
        mirrored = rng.random(len(self.learned))[place * size : (place + 1) * size] < 0.5
        tensors = np.array(self.tensors[chosen])
        if self.width:
            tensors[mirrored] = np.flip(tensors[mirrored], self.width)
        return tensors

    def to_measure(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Those that are held out, some at a time."""
        for start in range(0, len(self.held_out), size):
            yield np.array(self.tensors[self.held_out[start : start + size]])


def gathered(photographs: CalibrationTensors, count: int, folder: Path) -> NDArray[np.float32]:
    """The first photographs as one array ``[N, 3, H, W]``; a large one is mapped from a file in the folder."""
    tensors = photographs.first(count)
    first = next(tensors)
    shape = (count, *first.shape[1:])
    if count * first.nbytes <= _IN_MEMORY:
        found = np.empty(shape, dtype=np.float32)
    else:
        found = np.lib.format.open_memmap(folder / "photographs.npy", mode="w+", dtype=np.float32, shape=shape)
    found[0] = first[0]
    for index, tensor in enumerate(tensors, 1):
        found[index] = tensor[0]
    return found
