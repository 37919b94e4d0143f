"""Greedy descent over the rounding of one layer: a weight takes its other integer wherever that lowers the loss.

Gradient descent ends near a minimum of the rounding problem; this ends in one. The loss is that of the layer behind its
activation function. Where function and target both saturate a row costs nothing, so every round works on the quadratic
form that the other rows make at the present rounding (coordinate descent on a layer's quadratic loss: Nair and Suggala
2024, "CDQuant", arXiv 2406.17542; blocks of columns as in Frantar et al. 2022, "GPTQ", arXiv 2210.17323, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from depthdeploy.quantization.learning.rounding import Problem, Rows

#: Columns whose gradients are kept up to date weight by weight; the others follow block by block.
_BLOCK = 64

#: The fan-in up to which a layer is descended: its quadratic form has the square of it.
_LARGEST = 8192

#: The share of rows that count at least, where nearly all saturate.
_LEAST = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Form:
    """The loss around the present rounding.

    Attributes:
        gradient: half the derivative by every integer, ``[groups, outputs, fan_in]``.
        active: the share of rows that count, ``[groups, outputs, 1]``.
        residual: the sum of output minus target, ``[groups, outputs]``.
    """

    gradient: Tensor
    active: Tensor
    residual: Tensor


@torch.no_grad()
def descend(
    problem: Problem, rows: Rows, start: tuple[Tensor, Tensor], *, rounds: int, train_bias: bool
) -> tuple[Tensor, Tensor]:
    """Improve integers and bias until nothing does, or ``rounds`` are over.

    Args:
        problem: the layer.
        rows: what it reads and should give.
        start: integers minus the zero point ``[groups, outputs, fan_in]``, and the bias ``[groups, outputs]``.
        rounds: passes over all weights.
        train_bias: whether the bias follows, where it may.
    """
    integers, bias = start[0].clone(), start[1].clone()
    if problem.weight.shape[2] > _LARGEST or not rounds:
        return integers, bias
    products = _products(problem, rows)
    for _ in range(rounds):
        form = _form(problem, rows, integers, bias)
        if train_bias:
            bias = _newton(problem, rows, form, bias)
            form = _form(problem, rows, integers, bias)
        if not _sweep(problem, integers, form, products):
            break
    return integers, bias


@torch.no_grad()
def settle_bias(problem: Problem, rows: Rows, integers: Tensor, *, rounds: int) -> Tensor:
    """The bias ``[groups, outputs]`` that makes up for the mean error of a rounding, where it may change.

    Args:
        problem: the layer.
        rows: what it reads and should give.
        integers: minus the zero point, ``[groups, outputs, fan_in]``.
        rounds: of Newton's method: which rows saturate depends on the bias.
    """
    bias = problem.bias
    for _ in range(rounds):
        bias = _newton(problem, rows, _form(problem, rows, integers, bias), bias)
    return bias


def _newton(problem: Problem, rows: Rows, form: _Form, bias: Tensor) -> Tensor:
    limit = problem.bias_limit
    moved = bias - form.residual / (form.active[..., 0] * len(rows))
    return torch.where(limit > 0, moved.clamp(-limit, limit), bias)


def _products(problem: Problem, rows: Rows) -> Tensor:
    """Sums of products of inputs, ``[groups, fan_in, fan_in]``."""
    groups, _, fan_in = problem.weight.shape
    found = torch.zeros((groups, fan_in, fan_in), device=problem.weight.device)
    for index in rows.indices():
        inputs, _ = rows.chosen(index, groups)
        found += torch.bmm(inputs.transpose(1, 2), inputs)
    return found


def _form(problem: Problem, rows: Rows, integers: Tensor, bias: Tensor) -> _Form:
    low, high = problem.bounds
    weight = integers * problem.scale
    gradient, active, residual = torch.zeros_like(weight), torch.zeros_like(bias), torch.zeros_like(bias)
    for index in rows.indices():
        inputs, targets = rows.chosen(index, weight.shape[0])
        out = torch.bmm(inputs, weight.transpose(1, 2)) + bias[:, None, :]
        error = out.clamp(low, high) - targets.clamp(low, high)
        gradient += torch.bmm(error.transpose(1, 2), inputs)
        active += (((out > low) & (out < high)) | (error != 0)).sum(1)
        residual += error.sum(1)
    share = (active / len(rows)).clamp(min=_LEAST)
    return _Form(gradient * problem.scale, share[..., None], residual)


def _sweep(problem: Problem, integers: Tensor, form: _Form, products: Tensor) -> bool:
    """One pass over all weights, in place; whether one of them changed."""
    floor = torch.floor(problem.weight / problem.scale)
    low, high = floor.clamp(*problem.ends), (floor + 1).clamp(*problem.ends)
    curve, gradient, changed = problem.scale.square() * form.active, form.gradient, False
    for start in range(0, integers.shape[2], _BLOCK):
        stop = min(start + _BLOCK, integers.shape[2])
        inside, near = products[:, start:stop, start:stop], gradient[:, :, start:stop].clone()
        moved = torch.zeros_like(near)
        for column in range(stop - start):
            now = integers[:, :, start + column]
            step = low[:, :, start + column] + high[:, :, start + column] - 2 * now
            bend = curve[..., 0] * inside[:, None, column, column]
            step = torch.where(2 * near[:, :, column] * step + bend * step.square() < 0, step, 0.0)
            now += step
            near += step[..., None] * inside[:, None, column] * curve
            moved[:, :, column] = step
        if bool(moved.any()):
            changed = True
            gradient[:, :, stop:] += torch.bmm(moved, products[:, start:stop, stop:]) * curve
    return changed
