"""MiDaS v2.1 Small (Ranftl et al. 2020), under the key names of the official checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from depthdeploy.plugin import InputContract, ModelCard
from depthdeploy_models.checkpoint import load_strictly, read_state_dict
from depthdeploy_models.midas_v21_small.encoder import TAPS, Encoder

#: Channels of the decoder at 1/4, 1/8, 1/16 and 1/32 of the input.
_WIDTHS: Final = (64, 128, 256, 512)
_HEAD: Final = 32


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 ``[N, C, H, W]`` to the same shape."""
        result: torch.Tensor = self.conv2(functional.relu(self.conv1(functional.relu(x))))
        return x + result


class Fusion(nn.Module):
    """Adds the encoder's features to the coarser ones, refines, and doubles the size."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(channels, out, 1)
        self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Float32 ``[N, C, H, W]`` to ``[N, out, 2H, 2W]``; without ``skip`` the first unit is not called."""
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        x = functional.interpolate(self.resConfUnit2(x), scale_factor=2.0, mode="bilinear", align_corners=True)
        result: torch.Tensor = self.out_conv(x)
        return result


class Double(nn.Module):
    """Doubles the size between pixel centres: ``output_conv.1``, which has no weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 ``[N, C, H, W]`` to ``[N, C, 2H, 2W]``."""
        return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    """``scratch`` of the checkpoint: lateral convolutions, four fusion blocks and the head.

    The first residual unit of ``refinenet4`` (4,719,616 parameters) is in the checkpoint and is never called.
    """

    def __init__(self) -> None:
        super().__init__()
        laterals = [nn.Conv2d(tap, width, 3, padding=1, bias=False) for tap, width in zip(TAPS, _WIDTHS, strict=True)]
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = laterals
        first, second, third, fourth = _WIDTHS
        self.refinenet4 = Fusion(fourth, third)
        self.refinenet3 = Fusion(third, second)
        self.refinenet2 = Fusion(second, first)
        self.refinenet1 = Fusion(first, first)
        self.output_conv = nn.Sequential(
            nn.Conv2d(first, _HEAD, 3, padding=1),
            Double(),
            nn.Conv2d(_HEAD, _HEAD, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_HEAD, 1, 1),
            nn.ReLU(),
        )

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Four feature maps, finest first, float32, to ``[N, 1, H, W]`` of the input's size."""
        quarter, eighth, sixteenth, deepest = features
        x = self.refinenet4(self.layer4_rn(deepest))
        x = self.refinenet3(x, self.layer3_rn(sixteenth))
        x = self.refinenet2(x, self.layer2_rn(eighth))
        x = self.refinenet1(x, self.layer1_rn(quarter))
        result: torch.Tensor = self.output_conv(x)
        return result


class MidasSmall(nn.Module):
    """Relative inverse depth from one photograph."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained = Encoder()
        self.scratch = Decoder()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Relative inverse depth of photographs.

        Args:
            x: float32 ``[N, 3, H, W]``, RGB with the ImageNet mean and deviation removed; sides multiples of 32.

        Returns:
            float32 ``[N, 1, H, W]``, larger is nearer, 0 or more, no unit.
        """
        result: torch.Tensor = self.scratch(*self.pretrained(x))
        return result


def build(card: ModelCard, weights: Path, contract: InputContract) -> nn.Module:
    """The network with its weights. It takes any legal size, so that card and contract change nothing.

    Raises:
        ModelError: the weights do not fit.
    """
    with torch.device("meta"):
        network = MidasSmall()
    load_strictly(network, read_state_dict(weights), source=weights)
    return network


def drawn(_card: ModelCard, _contract: InputContract) -> nn.Module:
    """The network with freshly drawn weights; it takes any legal size."""
    return MidasSmall()
