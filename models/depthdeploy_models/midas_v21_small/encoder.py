"""EfficientNet-Lite3 in its TensorFlow variant, under the key names of the MiDaS checkpoint."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional

#: Kernel, stride, repeats, channels of the seven stages (MiDaS v2.1, ``tf_efficientnet_lite3``).
_STAGES: Final = (
    (3, 1, 1, 24),
    (3, 2, 3, 32),
    (5, 2, 3, 48),
    (3, 2, 5, 96),
    (5, 1, 5, 136),
    (5, 2, 6, 232),
    (3, 1, 1, 384),
)
_STEM: Final = 32
_EXPANSION: Final = 6
#: TensorFlow's epsilon; PyTorch's own is 1e-5.
_EPS: Final = 1e-3
#: How many stages each ``pretrained.layerN`` holds, and the channels of its last one: the decoder's inputs.
_GROUPS: Final = (2, 1, 2, 2)
TAPS: Final = (32, 48, 136, 384)


def same_padding(size: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """What TensorFlow's SAME adds before and after one side: ``max((ceil(n / s) - 1) s + k - n, 0)``, the rest after.

    PyTorch pads both ends alike, which shifts every feature of a stride-2 convolution by half a pixel.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A convolution without bias whose padding is TensorFlow's SAME for the size it is given."""

    def __init__(self, channels: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, padding=0, groups=groups, bias=False)
        if stride == 1:  # then SAME is symmetric, and needs no padding of its own
            self.padding = (kernel // 2, kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 ``[N, C, H, W]`` to ``[N, out, ceil(H / stride), ceil(W / stride)]``."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            top, bottom = same_padding(x.shape[2], kernel=kernel, stride=stride)
            left, right = same_padding(x.shape[3], kernel=kernel, stride=stride)
            x = functional.pad(x, (left, right, top, bottom))
        return super().forward(x)


class DepthwiseSeparable(nn.Module):
    """A depthwise convolution and a linear 1x1 one: the first stage."""

    def __init__(self, channels: int, out: int, *, kernel: int) -> None:
        super().__init__()
        self.conv_dw = SameConv2d(channels, channels, kernel=kernel, groups=channels)
        self.bn1 = nn.BatchNorm2d(channels, _EPS)
        self.conv_pw = SameConv2d(channels, out, kernel=1)
        self.bn2 = nn.BatchNorm2d(out, _EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 ``[N, C, H, W]`` to ``[N, out, H, W]``."""
        x = functional.relu6(self.bn1(self.conv_dw(x)))
        result: torch.Tensor = self.bn2(self.conv_pw(x))
        return result


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection, added to the input where the shapes agree."""

    def __init__(self, channels: int, out: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        wide = channels * _EXPANSION
        self.conv_pw = SameConv2d(channels, wide, kernel=1)
        self.bn1 = nn.BatchNorm2d(wide, _EPS)
        self.conv_dw = SameConv2d(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.bn2 = nn.BatchNorm2d(wide, _EPS)
        self.conv_pwl = SameConv2d(wide, out, kernel=1)
        self.bn3 = nn.BatchNorm2d(out, _EPS)
        self.residual = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 ``[N, C, H, W]`` to ``[N, out, H / stride, W / stride]``."""
        wide = functional.relu6(self.bn1(self.conv_pw(x)))
        wide = functional.relu6(self.bn2(self.conv_dw(wide)))
        result: torch.Tensor = self.bn3(self.conv_pwl(wide))
        return x + result if self.residual else result


class Encoder(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input: ``pretrained`` of the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        stages, channels = [], _STEM
        for number, (kernel, stride, repeats, out) in enumerate(_STAGES):
            blocks: list[nn.Module] = []
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(
                    DepthwiseSeparable(channels, out, kernel=kernel)
                    if number == 0
                    else InvertedResidual(channels, out, kernel=kernel, stride=step)
                )
                channels = out
            stages.append(nn.Sequential(*blocks))
        stem = [SameConv2d(3, _STEM, kernel=3, stride=2), nn.BatchNorm2d(_STEM, _EPS), nn.ReLU6()]
        first, second, third, _ = _GROUPS
        self.layer1 = nn.Sequential(*stem, *stages[:first])
        self.layer2 = nn.Sequential(*stages[first : first + second])
        self.layer3 = nn.Sequential(*stages[first + second : first + second + third])
        self.layer4 = nn.Sequential(*stages[first + second + third :])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalised float32 ``[N, 3, H, W]`` to four feature maps with ``TAPS`` channels, finest first."""
        quarter = self.layer1(x)
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return quarter, eighth, sixteenth, self.layer4(sixteenth)
