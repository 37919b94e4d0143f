"""What the losses measure, and what they leave free."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from depthdeploy.core.depth import DepthKind
from depthdeploy.quantization.learning.losses import (
    depth_loss,
    feature_loss,
    noise_ratio,
    relative_l2,
    scale_and_shift_invariant,
)


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    target = rng.uniform(1, 5, (3, 40))
    return torch.tensor(target + 0.3 * rng.standard_normal((3, 40))), torch.tensor(target)


def test_the_noise_ratio_is_the_inverse_of_the_signal_to_noise_ratio(maps: tuple[torch.Tensor, torch.Tensor]) -> None:
    found, wanted = maps
    decibels = -10 * noise_ratio(found, wanted).log10()
    for one, p, t in zip(decibels, found.numpy(), wanted.numpy(), strict=True):
        assert float(one) == pytest.approx(10 * np.log10((t**2).sum() / ((p - t) ** 2).sum()))


def test_scale_and_shift_are_free(maps: tuple[torch.Tensor, torch.Tensor]) -> None:
    found, wanted = maps
    loss = scale_and_shift_invariant(found, wanted)
    assert torch.allclose(scale_and_shift_invariant(3 * found - 7, wanted), loss)
    for one, p, t in zip(loss, found.numpy(), wanted.numpy(), strict=True):
        fitted = np.stack([p, np.ones_like(p)], axis=1)
        _, rest, _, _ = np.linalg.lstsq(fitted, t, rcond=None)
        assert float(one) ** 2 == pytest.approx(rest[0] / ((t - t.mean()) ** 2).sum())


def test_metres_are_not_free(maps: tuple[torch.Tensor, torch.Tensor]) -> None:
    found, wanted = maps
    metric = depth_loss(found, wanted, DepthKind.METRIC_DEPTH, 0.5)
    assert float(metric) == pytest.approx(float(relative_l2(found, wanted).sum()))
    assert depth_loss(found, wanted, DepthKind.INVERSE_DEPTH, 0.5) > metric


@pytest.mark.parametrize("kind", list(DepthKind))
def test_gradients_are_finite_where_nothing_is_wrong(kind: DepthKind) -> None:
    target = torch.rand(2, 30)
    found = target.clone().requires_grad_()
    depth_loss(found, target, kind, 1.0).backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None
    assert found.grad.isfinite().all()


def test_every_feature_map_weighs_the_same_and_every_photograph_too() -> None:
    small, large = torch.ones(2, 4), torch.full((6, 100), 1000.0)  # two photographs; the second map has three rows each
    loss = feature_loss([small * 1.1, large * 1.1], [small, large], photographs=2)
    assert float(loss) == pytest.approx(2 * 0.1, rel=1e-4)
