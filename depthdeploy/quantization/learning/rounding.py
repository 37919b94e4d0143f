"""The rounding of one layer as a problem that is learned: up or down for each weight.

The method is that of Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", arXiv
2004.10568.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

#: The stretch of the rectified sigmoid, equation 23 of the paper: ends of 0 and 1 are reached at finite values.
_ZETA, _GAMMA = 1.1, -0.1

#: What reconstruction weighs against the regulariser: nearest rounding's loss counts so much per weight. With it the
#: regulariser's weight means the same in every layer, whatever the size of its activations; of 0.0003 to 10 this value
#: left the least noise after a few hundred iterations.
_RECONSTRUCTION = 0.004

#: Rows that are computed at once where all are.
ROWS = 4096


@dataclass(frozen=True, slots=True)
class Course:
    """How a layer learns.

    Attributes:
        iterations: steps of Adam.
        rows: output positions per step.
        learning_rate: of Adam.
        warmup: the share of the iterations without the regulariser.
        decay_start: the share of the iterations behind the warm-up in which beta stays at its first value.
        weight: of the regulariser.
        b_range: beta's first and last value.
        train_bias: whether the bias learns too.
        rounds: of greedy descent afterwards.
    """

    iterations: int
    rows: int
    learning_rate: float
    warmup: float
    decay_start: float
    weight: float
    b_range: tuple[float, float]
    train_bias: bool
    rounds: int = 0

    def beta(self, step: int) -> float | None:
        """The regulariser's exponent at a step; ``None`` during the warm-up. It follows half a cosine."""
        done = step / max(self.iterations, 1)
        if done < self.warmup:
            return None
        start = self.warmup + self.decay_start * (1 - self.warmup)
        share = min(1.0, max(0.0, (done - start) / max(1 - start, 1e-9)))
        first, last = self.b_range
        return last + 0.5 * (first - last) * (1 + float(torch.cos(torch.tensor(share * torch.pi, dtype=torch.float64))))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a layer reads and should give, at sampled output positions.

    Attributes:
        inputs: ``[rows, groups * fan_in]``; integers of a grid, or float32.
        scale: of the inputs' grid; 1 for floats.
        zero: the zero point of the inputs' grid.
        targets: ``[rows, groups * outputs]`` float32, what the float network gives there, activation function and all.
    """

    inputs: Tensor
    scale: float
    zero: float
    targets: Tensor

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def part(self, start: int, stop: int) -> Rows:
        """Some of the rows, in their order."""
        return Rows(self.inputs[start:stop], self.scale, self.zero, self.targets[start:stop])

    def indices(self) -> Iterator[Tensor]:
        """The numbers of all rows, some at a time."""
        for start in range(0, len(self), ROWS):
            yield torch.arange(start, min(start + ROWS, len(self)), device=self.inputs.device)

    def chosen(self, index: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Inputs ``[groups, n, fan_in]`` and targets ``[groups, n, outputs]``, float32, of some rows."""
        count = index.numel()
        inputs = self.inputs.index_select(0, index).to(torch.float32)
        if self.scale != 1 or self.zero:
            inputs = inputs.sub_(self.zero).mul_(self.scale)
        targets = self.targets.index_select(0, index)
        return inputs.view(count, groups, -1).transpose(0, 1), targets.view(count, groups, -1).transpose(0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One layer as a product of matrices.

    Attributes:
        weight: ``[groups, outputs, fan_in]`` float32, before rounding.
        scale: of its grid, broadcast against it.
        ends: the smallest and the largest integer, minus the zero point.
        bias: ``[groups, outputs]`` float32; zeros without one.
        bias_limit: the largest bias that int32 holds, ``[groups, outputs]``; zeros where the bias is not to change.
        bounds: what the output cannot leave: of the activation function and of its grid.
    """

    weight: Tensor
    scale: Tensor
    ends: tuple[Tensor, Tensor]
    bias: Tensor
    bias_limit: Tensor
    bounds: tuple[float, float]

    @property
    def nearest(self) -> Tensor:
        """Integers, minus the zero point, rounded to nearest, as ``Grid.quantize`` does."""
        return torch.clamp(torch.round(self.weight / self.scale), *self.ends)

    @property
    def exact(self) -> bool:
        """Whether the weight lies on its grid before rounding."""
        return bool(torch.equal(self.nearest * self.scale, self.weight))

    def outputs(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """``[groups, n, outputs]`` from ``[groups, n, fan_in]``, after the activation function."""
        if weight.shape[1] == 1:  # depthwise: a product of matrices with one column is slow
            product = (inputs * weight).sum(2, keepdim=True)
        else:
            product = torch.bmm(inputs, weight.transpose(1, 2))
        return (product + bias[:, None, :]).clamp(*self.bounds)


class Learner:
    """The state of learning: one number per weight that says how far it is rounded up, and the bias.

    The loss is ``sum over channels of (output - target)^2``, mean over positions, divided by that of nearest rounding,
    plus the mean of ``1 - |2 h - 1|^beta`` over weights (equations 21 to 25 of the paper, in units of a weight).

    Args:
        problem: the layer.
        fit: rows to learn from.
        course: how to learn.
        seed: of the order of the rows.
    """

    def __init__(self, problem: Problem, fit: Rows, course: Course, seed: int) -> None:
        self._problem, self._fit, self._course = problem, fit, course
        device = problem.weight.device
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64)
        with torch.no_grad():
            steps = problem.weight / problem.scale
            self._floor = torch.floor(steps)
            share = (steps - self._floor).clamp(1e-4, 1 - 1e-4)
            self._logit = -torch.log((_ZETA - _GAMMA) / (share - _GAMMA) - 1)
            loss, unit = self._nearest_loss()
        self._factor = _RECONSTRUCTION / loss if loss > 0 else 1.0
        self._unit = unit
        self._shift = torch.zeros_like(problem.bias, device=device)
        learned = [self._logit.requires_grad_()]
        if course.train_bias and bool(problem.bias_limit.any()):
            learned.append(self._shift.requires_grad_())
        self._adam = torch.optim.Adam(learned, lr=course.learning_rate, fused=True)

    def _nearest_loss(self) -> tuple[float, Tensor]:
        """The loss of nearest rounding on some rows, and the root of each channel's: the unit in which biases move."""
        problem = self._problem
        index = torch.arange(min(len(self._fit), ROWS), device=problem.weight.device)
        inputs, targets = self._fit.chosen(index, problem.weight.shape[0])
        out = problem.outputs(inputs, problem.nearest * problem.scale, problem.bias)
        each = (out - targets.clamp(*problem.bounds)).square().mean(1)
        return float(each.sum()), each.sqrt()

    def _next(self) -> Tensor:
        """The numbers of the next rows: all rows in random order, then all again in another."""
        count = min(self._course.rows, len(self._fit))
        if self._order.numel() < count:
            self._order = torch.randperm(len(self._fit), generator=self._generator)
        index, self._order = self._order[:count], self._order[count:]
        return index.to(self._problem.weight.device)

    def step(self, number: int) -> None:
        """One iteration."""
        problem = self._problem
        inputs, targets = self._fit.chosen(self._next(), problem.weight.shape[0])
        soft = torch.sigmoid(self._logit).mul(_ZETA - _GAMMA).add(_GAMMA).clamp(0, 1)
        weight = (self._floor + soft).clamp(*problem.ends) * problem.scale
        out = problem.outputs(inputs, weight, problem.bias + self._shift * self._unit)
        loss = (out - targets.clamp(*problem.bounds)).square().mean(1).sum() * self._factor
        beta = self._course.beta(number)
        if beta is not None and self._course.weight:
            loss = loss + self._course.weight * (1 - (2 * soft - 1).abs().pow(beta)).mean()
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()

    @torch.no_grad()
    def result(self) -> tuple[Tensor, Tensor]:
        """Integers minus the zero point, and the bias within what int32 holds; NaN where learning diverged."""
        problem = self._problem
        up = torch.where(self._logit.isfinite(), (self._logit >= 0).to(torch.float32), self._logit)
        limit = problem.bias_limit
        bias = torch.where(limit > 0, (problem.bias + self._shift * self._unit).clamp(-limit, limit), problem.bias)
        return (self._floor + up).clamp(*problem.ends), bias


@torch.no_grad()
def noise_of(problem: Problem, rows: Rows, weight: Tensor, bias: Tensor) -> float:
    """Noise power over signal power at the layer's output."""
    noise, signal = 0.0, 0.0
    for index in rows.indices():
        inputs, targets = rows.chosen(index, weight.shape[0])
        targets = targets.clamp(*problem.bounds)
        noise += float((problem.outputs(inputs, weight, bias) - targets).square().sum(dtype=torch.float64))
        signal += float(targets.square().sum(dtype=torch.float64))
    return noise / signal if signal > 0 else noise
