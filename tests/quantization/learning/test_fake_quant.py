"""Rounding to a grid, forwards as the plan's grids have it, backwards as LSQ has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.quantization.learning.fake_quant import ends_of, fake_quantize, scale_of

UNSIGNED = NumberFormat(8, False, False, Granularity.TENSOR)
SIGNED = NumberFormat(4, True, True, Granularity.CHANNEL)

floats = arrays.arrays(
    np.float32, (3, 4, 2), elements=st.floats(-1e4, 1e4, width=32, allow_nan=False, allow_subnormal=False)
)


def fake(grid: Grid, x: np.ndarray) -> np.ndarray:
    return fake_quantize(torch.from_numpy(x), scale_of(grid, x.ndim), ends_of(grid, x.ndim)).numpy()


@given(floats, st.floats(-100, 0), st.floats(0, 100))
def test_forwards_it_is_the_grid_bit_for_bit(x: np.ndarray, low: float, high: float) -> None:
    grid = Grid.covering(low, high, UNSIGNED)
    assert np.array_equal(fake(grid, x), grid.dequantize(grid.quantize(x)))


@given(floats, arrays.arrays(np.float32, 4, elements=st.floats(0.0078125, 100, width=32)))
def test_channels_have_their_own_scales(x: np.ndarray, scales: np.ndarray) -> None:
    grid = Grid(tuple(scales.tolist()), (0,) * 4, SIGNED, axis=1)
    assert np.array_equal(fake(grid, x), grid.dequantize(grid.quantize(x)))


def test_channels_may_have_their_own_zero_points() -> None:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)
    grid = Grid((0.1, 0.2, 0.3), (3, 9, 15), NumberFormat(4, False, False, Granularity.CHANNEL), axis=1)
    assert np.array_equal(fake(grid, x), grid.dequantize(grid.quantize(x)))


@pytest.mark.parametrize("scale", [0.05, 0.31])
def test_the_gradient_of_the_scale_is_that_of_lsq(scale: float) -> None:
    """Rounding adds a constant to ``x / scale``; with it held, the rest is smooth, and differences give its slope."""
    low, high = -7.0, 7.0
    x = np.random.default_rng(0).normal(size=400) * 9 * scale
    x = x[np.abs(np.abs(x / scale) - high) > 0.5]  # at the ends themselves rounding has no slope to compare with
    weights = np.random.default_rng(1).normal(size=x.size)
    residual = np.rint(x / scale) - x / scale

    def smooth(step: float) -> float:
        return float((weights * step * np.clip(x / step + residual, low, high)).sum())

    step = torch.tensor(scale, requires_grad=True)
    values = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    (fake_quantize(values, step, (low, high)) * torch.tensor(weights, dtype=torch.float32)).sum().backward()  # type: ignore[no-untyped-call]
    assert step.grad is not None
    assert values.grad is not None
    clipped = np.abs(x / scale) > high
    assert clipped.any()
    assert not clipped.all()
    differences = (smooth(scale + 1e-7) - smooth(scale - 1e-7)) / 2e-7
    formula = float((weights * np.where(clipped, np.sign(x) * high, residual)).sum())
    assert float(step.grad) == pytest.approx(formula, rel=1e-3)
    assert differences == pytest.approx(formula, rel=1e-4)
    assert np.allclose(values.grad.numpy(), np.where(clipped, 0, weights))


def test_each_channel_s_scale_has_its_own_gradient() -> None:
    x = torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([0.1, 0.2, 0.7]).reshape(1, 3, 1).requires_grad_()
    fake_quantize(x, scale, (-7.0, 7.0)).sum().backward()  # type: ignore[no-untyped-call]
    assert scale.grad is not None
    for channel in range(3):
        alone = scale.detach()[0, channel, 0].clone().requires_grad_()
        fake_quantize(x[:, channel], alone, (-7.0, 7.0)).sum().backward()  # type: ignore[no-untyped-call]
        assert alone.grad is not None
        assert float(scale.grad[0, channel, 0]) == pytest.approx(float(alone.grad), rel=1e-4)
