"""One layer from beginning to end: learn, descend, and keep what is best on rows that were held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from depthdeploy.quantization.learning.descent import descend, settle_bias
from depthdeploy.quantization.learning.rounding import Course, Learner, Problem, Rows, noise_of

#: One row of so many is held out.
_HELD_OUT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What was learned.

    Attributes:
        integers: of the weight, minus the zero point, ``[groups, outputs, fan_in]``.
        bias: ``[groups, outputs]``.
        before: noise power over signal power of nearest rounding on the held-out rows; NaN if not measured.
        after: likewise of this solution.
        iterations: that were run.
        rolled_back: whether learning made it worse, so that this is nearest rounding; its bias may have changed.
    """

    integers: Tensor
    bias: Tensor
    before: float
    after: float
    iterations: int
    rolled_back: bool

    @classmethod
    def nearest(cls, problem: Problem, noise: float = math.nan) -> Solution:
        """Rounding to nearest, without learning."""
        return cls(problem.nearest, problem.bias, noise, noise, 0, rolled_back=False)


def split(rows: Rows) -> tuple[Rows, Rows]:
    """The rows to learn from, and those that are held out: of the last photographs."""
    held = max(1, len(rows) // _HELD_OUT)
    if held == len(rows):
        return rows, rows
    return rows.part(0, len(rows) - held), rows.part(len(rows) - held, len(rows))


def solve(problem: Problem, rows: Rows, course: Course, seed: int, tell: Callable[[int], None]) -> Solution:
    """Learn the rounding of one layer, and its bias.

    Args:
        problem: the layer.
        rows: what it reads and should give.
        course: how to learn.
        seed: of the order of the rows.
        tell: told how many iterations are done.
    """
    fit, held = split(rows)
    nearest = problem.nearest
    found = [(nearest, problem.bias)]
    if not problem.exact:
        learner = Learner(problem, fit, course, seed)
        for step in range(course.iterations):
            learner.step(step)
            if step % 50 == 49:
                tell(step + 1)
        learned = learner.result()
        found.append(learned)
        if all(bool(part.isfinite().all()) for part in learned):
            found.append(descend(problem, fit, learned, rounds=course.rounds, train_bias=course.train_bias))
    if course.train_bias and (course.rounds or problem.exact):
        found.append((nearest, settle_bias(problem, fit, nearest, rounds=max(1, course.rounds))))
    noises = [noise_of(problem, held, integers * problem.scale, bias) for integers, bias in found]
    best = min(range(len(found)), key=lambda index: (math.isnan(noises[index]), noises[index]))
    integers, bias = found[best]
    back = integers is nearest and not problem.exact
    return Solution(integers, bias, noises[0], noises[best], course.iterations, back)
