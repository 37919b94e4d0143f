"""The pico network: a small depth network in the shape of those that run on edge chips."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import nn
from torch.nn import functional

# Per encoder stage: output channels, expansion, blocks. Every stage halves the sides.
_STAGES: Final = ((24, 3, 2), (40, 3, 2), (80, 4, 3), (128, 4, 3))
_STEM: Final = 16
# Decoder channels from 1/32 up to 1/2 of the input.
_DECODER: Final = (96, 64, 48, 32, 16)


class ConvUnit(nn.Module):
    """Convolution, BatchNorm and, unless linear, ReLU6."""

    def __init__(
        self, channels: int, *, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.act = nn.Identity() if linear else nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features after the unit: float32 [N, C, H, W] to [N, out, H / stride, W / stride]."""
        result: torch.Tensor = self.act(self.norm(self.conv(x)))
        return result


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise and linear 1x1 projection, added to the input where the shapes agree."""

    def __init__(self, channels: int, *, out: int, expand: int, stride: int) -> None:
        super().__init__()
        wide = channels * expand
        self.expand = ConvUnit(channels, out=wide)
        self.depthwise = ConvUnit(wide, out=wide, kernel=3, stride=stride, groups=wide)
        self.project = ConvUnit(wide, out=out, linear=True)
        self.residual = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features after the block: float32 [N, C, H, W] to [N, out, H / stride, W / stride]."""
        result: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + result if self.residual else result


class Refine(nn.Module):
    """3x3 depthwise and 1x1 convolution, each with BatchNorm and ReLU6."""

    def __init__(self, channels: int, *, out: int) -> None:
        super().__init__()
        self.depthwise = ConvUnit(channels, out=channels, kernel=3, groups=channels)
        self.pointwise = ConvUnit(channels, out=out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features after the block: float32 [N, C, H, W] to [N, out, H, W]."""
        result: torch.Tensor = self.pointwise(self.depthwise(x))
        return result


def _double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Pico(nn.Module):
    """Relative inverse depth from one photograph.

    An inverted-residual encoder down to 1/32 of the input, and a decoder that doubles the features and adds the
    encoder's features of the same size. The head works at half resolution; its result is doubled once more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvUnit(3, out=_STEM, kernel=3, stride=2),
            Refine(_STEM, out=_STEM),
        )
        stages, laterals = [], [ConvUnit(_STEM, out=_DECODER[-1], linear=True)]
        channels = _STEM
        for number, (out, expand, blocks) in enumerate(_STAGES):
            layers = [InvertedResidual(channels, out=out, expand=expand, stride=2)]
            layers += [InvertedResidual(out, out=out, expand=expand, stride=1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*layers))
            laterals.append(ConvUnit(out, out=_DECODER[-2 - number], linear=True))
            channels = out
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(laterals)
        self.refines = nn.ModuleList(Refine(wide, out=narrow) for wide, narrow in pairwise(_DECODER))
        self.finish = Refine(_DECODER[-1], out=_DECODER[-1])
        self.head = nn.Conv2d(_DECODER[-1], 1, 3, padding=1)
        # ReLU passes no gradient below zero; a start above zero keeps every pixel in training.
        self.head.bias = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Relative inverse depth of photographs.

        Args:
            x: float32 [N, 3, H, W], RGB with the ImageNet mean and deviation removed; H and W multiples of 32.

        Returns:
            float32 [N, 1, H, W], larger is nearer, 0 or more, no unit.
        """
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        merged = self.laterals[-1](features[-1])
        for refine, lateral, feature in zip(self.refines, self.laterals[-2::-1], features[-2::-1], strict=True):
            merged = _double(refine(merged)) + lateral(feature)
        return _double(functional.relu(self.head(self.finish(merged))))


def build() -> nn.Module:
    """A `Pico` with freshly drawn weights."""
    return Pico()
