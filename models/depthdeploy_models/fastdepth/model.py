"""FastDepth (Wofk et al. 2019): MobileNet, a depthwise decoder, additive skips; the authors' key names.

The released network was pruned layer by layer, so that no channel count is known before its checkpoint is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from depthdeploy.plugin import InputContract, ModelCard, ModelError
from depthdeploy_models.checkpoint import load_strictly, read_state_dict

#: Strides of ``conv0`` to ``conv13`` (MobileNet without its classifier).
_STRIDES: Final = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_DECODERS: Final = (1, 2, 3, 4, 5)
#: Decoder -> the encoder's layer that is added to what it gives.
_SKIPS: Final = {2: 5, 3: 3, 4: 1}
#: Output channels of the released network (mobilenet-nnconv5dw-skipadd-pruned).
_PRUNED: Final = (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512)
_PRUNED_DECODER: Final = (200, 256, 120, 56, 16)


def _unit(channels: int, out: int, *, kernel: int, stride: int = 1, depthwise: bool = False) -> list[nn.Module]:
    groups = channels if depthwise else 1
    return [nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]


def _encoder(channels: int, out: int, stride: int) -> nn.Sequential:
    depthwise = _unit(channels, channels, kernel=3, stride=stride, depthwise=True)
    return nn.Sequential(*depthwise, nn.ReLU6(), *_unit(channels, out, kernel=1), nn.ReLU6())


def _decoder(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(*_unit(channels, channels, kernel=5, depthwise=True), nn.ReLU()),
        nn.Sequential(*_unit(channels, out, kernel=1), nn.ReLU()),
    )


class MobileNetSkipAdd(nn.Module):
    """Depth in metres from one photograph.

    Args:
        widths: output channels of ``conv0`` to ``conv13`` and of ``decode_conv1`` to ``decode_conv5``; the layers
            that are added have equal ones.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        channels = widths["conv0"]
        self.conv0 = nn.Sequential(*_unit(3, channels, kernel=3, stride=_STRIDES[0]), nn.ReLU6())
        for number, stride in enumerate(_STRIDES[1:], start=1):
            out = widths[f"conv{number}"]
            self.add_module(f"conv{number}", _encoder(channels, out, stride))
            channels = out
        for number in _DECODERS:
            out = widths[f"decode_conv{number}"]
            self.add_module(f"decode_conv{number}", _decoder(channels, out))
            channels = out
        self.decode_conv6 = nn.Sequential(*_unit(channels, 1, kernel=1), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Depth of photographs.

        Args:
            x: float32 ``[N, 3, H, W]``, RGB in 0..1; sides multiples of 32.

        Returns:
            float32 ``[N, 1, H, W]``, metres, larger is farther.
        """
        features = {}
        for number in range(len(_STRIDES)):
            x = features[number] = self.get_submodule(f"conv{number}")(x)
        for number in _DECODERS:
            x = functional.interpolate(self.get_submodule(f"decode_conv{number}")(x), scale_factor=2.0, mode="nearest")
            if number in _SKIPS:
                x = x + features[_SKIPS[number]]
        result: torch.Tensor = self.decode_conv6(x)
        return result


def build(card: ModelCard, weights: Path, contract: InputContract) -> nn.Module:
    """The network with its weights. It takes any legal size, so that card and contract change nothing.

    Raises:
        ModelError: the weights do not fit.
    """
    state = read_state_dict(weights)
    with torch.device("meta"):
        network = MobileNetSkipAdd(_widths(state, weights))
    load_strictly(network, state, source=weights)
    return network


def drawn(_card: ModelCard, _contract: InputContract) -> nn.Module:
    """The network with the released one's widths and freshly drawn weights; it takes any legal size."""
    widths = {f"conv{number}": width for number, width in enumerate(_PRUNED)}
    widths |= {f"decode_conv{number}": width for number, width in zip(_DECODERS, _PRUNED_DECODER, strict=True)}
    return MobileNetSkipAdd(widths)


def _widths(state: Mapping[str, torch.Tensor], weights: Path) -> dict[str, int]:
    """The channel counts that a state dict has."""
    last = {"conv0": "conv0.0.weight"}
    last |= {f"conv{number}": f"conv{number}.3.weight" for number in range(1, len(_STRIDES))}
    last |= {f"decode_conv{number}": f"decode_conv{number}.1.0.weight" for number in _DECODERS}
    missing = sorted(key for key in last.values() if key not in state)
    if missing:
        raise ModelError(
            f"{weights} is no FastDepth checkpoint: it lacks {', '.join(missing)}.",
            "Give the state dict of MobileNetSkipAdd with --weights, or an ONNX graph of it.",
        )
    widths = {layer: state[key].shape[0] for layer, key in last.items()}
    for decoder, encoder in _SKIPS.items():
        if widths[f"decode_conv{decoder}"] != widths[f"conv{encoder}"]:
            raise ModelError(
                f"{weights}: decode_conv{decoder} gives {widths[f'decode_conv{decoder}']} channels, and conv{encoder}, "
                f"which is added to it, {widths[f'conv{encoder}']}.",
                "Give the state dict of MobileNetSkipAdd: other variants of FastDepth have no such sums.",
            )
    return widths
