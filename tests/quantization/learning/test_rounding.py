"""One layer with correlated inputs: what learning and descent gain over rounding to nearest, on rows never seen."""

import itertools
from dataclasses import replace

import pytest
import torch

from depthdeploy.quantization.learning.descent import descend
from depthdeploy.quantization.learning.rounding import Course, Problem, Rows, noise_of
from depthdeploy.quantization.learning.solving import solve, split

COURSE = Course(200, 256, 0.03, 0.2, 0.0, 0.01, (20.0, 2.0), train_bias=True)


def _layer(groups: int = 1, outputs: int = 8, fan_in: int = 32, *, high: float = 4.0) -> tuple[Problem, Rows]:
    """4-bit weights; every group reads a few common causes and a little noise, quantized to steps of 1/16."""
    draw = torch.Generator().manual_seed(4)
    causes = torch.randn(1600, 6, generator=draw)
    mixed = causes @ torch.randn(6, groups * fan_in, generator=draw) / 6**0.5
    floats = mixed + 0.1 * torch.randn(mixed.shape, generator=draw)
    weight = torch.randn(groups, outputs, fan_in, generator=draw) / fan_in**0.5
    bias = 0.1 * torch.randn(groups, outputs, generator=draw)
    entry = floats.view(1600, groups, fan_in).transpose(0, 1)
    targets = (torch.bmm(entry, weight.transpose(1, 2)) + bias[:, None]).clamp(0, high)
    problem = Problem(
        weight,
        weight.abs().amax(2, keepdim=True) / 7,
        (torch.tensor(-7.0), torch.tensor(7.0)),
        bias,
        torch.full_like(bias, 10.0),
        (0.0, high),
    )
    steps = torch.clamp(torch.round(floats * 16) + 100, 0, 255).to(torch.uint8)
    return problem, Rows(steps, 1 / 16, 100.0, targets.transpose(0, 1).reshape(1600, -1).contiguous())


@pytest.mark.parametrize(("groups", "outputs", "fan_in", "share"), [(1, 8, 32, 0.6), (2, 4, 18, 0.6), (6, 1, 9, 0.75)])
def test_learning_then_descent_each_gain_much(groups: int, outputs: int, fan_in: int, share: float) -> None:
    problem, rows = _layer(groups, outputs, fan_in)
    learned = solve(problem, rows, COURSE, 0, lambda count: None)
    assert learned.after < share * learned.before
    assert (problem.weight / problem.scale - learned.integers).abs().max() < 1 + 1e-5
    both = solve(problem, rows, replace(COURSE, rounds=4), 0, lambda count: None)
    assert both.after < 0.9 * learned.after
    assert both.before == learned.before


def test_descent_from_nearest_lowers_the_loss_it_sees_round_by_round() -> None:
    problem, rows = _layer()
    start = problem.nearest, problem.bias
    noises = [
        noise_of(problem, rows, integers * problem.scale, bias)
        for integers, bias in (descend(problem, rows, start, rounds=count, train_bias=True) for count in range(5))
    ]
    assert all(after <= before for before, after in itertools.pairwise(noises))
    assert noises[-1] < 0.3 * noises[0]


def test_descent_ends_where_no_single_weight_helps() -> None:
    problem, rows = _layer(high=float("inf"), outputs=3, fan_in=10)
    linear = Problem(problem.weight, problem.scale, problem.ends, problem.bias, problem.bias_limit, (-1e9, 1e9))
    integers, bias = descend(linear, rows, (linear.nearest, linear.bias), rounds=50, train_bias=False)
    least = noise_of(linear, rows, integers * linear.scale, bias)
    floor = torch.floor(linear.weight / linear.scale)
    for output, column in itertools.product(range(3), range(10)):
        other = integers.clone()
        low = floor[0, output, column]
        other[0, output, column] = low + 1 if integers[0, output, column] <= low else low
        assert noise_of(linear, rows, other.clamp(-7, 7) * linear.scale, bias) >= least * (1 - 1e-5)


def test_what_is_held_out_are_the_last_rows() -> None:
    _, rows = _layer()
    fit, held = split(rows)
    assert (len(fit), len(held)) == (1400, 200)
    assert torch.equal(torch.cat([fit.targets, held.targets]), rows.targets)
    alone = split(rows.part(0, 1))
    assert len(alone[0]) == len(alone[1]) == 1


def test_biases_stay_within_what_int32_holds() -> None:
    problem, rows = _layer()
    tight = Problem(
        problem.weight, problem.scale, problem.ends, problem.bias, problem.bias.abs() * (1 + 1e-6), problem.bounds
    )
    found = solve(tight, rows, COURSE, 0, lambda count: None)
    assert (found.bias.abs() <= tight.bias_limit).all()
