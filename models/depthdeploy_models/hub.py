"""Networks of ``transformers``: their published key names, and the pieces that differ with the input's size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from depthdeploy_models.checkpoint import load_strictly

#: The fused kernels are exported with a guard against masked rows, of which a photograph has none.
ATTENTION: Final = "eager"
#: What ``transformers`` 5 calls the attention's layers, and what the published files call them.
_PUBLISHED: Final = (
    (re.compile(r"\battention\.q_proj\b"), "attention.attention.query"),
    (re.compile(r"\battention\.k_proj\b"), "attention.attention.key"),
    (re.compile(r"\battention\.v_proj\b"), "attention.attention.value"),
    (re.compile(r"\battention\.o_proj\b"), "attention.output.dense"),
)


def published_name(name: str) -> str:
    """A key of any version of ``transformers`` as the files on the hub have it."""
    for pattern, replacement in _PUBLISHED:
        name = pattern.sub(replacement, name)
    return name


def load_published(
    network: nn.Module, state: Mapping[str, torch.Tensor], *, source: Path, unused: Iterable[str]
) -> None:
    """Put a state dict with the hub's key names into a network of the installed ``transformers``.

    Args:
        network: of any version; it may lie on the meta device.
        state: key -> tensor.
        source: the file, for the message.
        unused: beginnings of keys that the forward pass never reads and that may be missing.

    Raises:
        ModelError: keys are missing, unexpected or misshapen.
    """
    own = {published_name(key): key for key in network.state_dict()}
    renamed = {own.get(published_name(key), key): value for key, value in state.items()}
    load_strictly(network, renamed, source=source, unused=unused)


def fix_positions(embeddings: nn.Module, method: str, *, rows: int, columns: int, mode: str) -> None:
    """Interpolate a position embedding once, and make the method that would do it in every run give the result.

    The size is fixed when a network is built, so that the resize would only burden the exported graph, and chips
    have no bicubic one.

    Args:
        embeddings: the module with ``position_embeddings``, float32 ``[1, 1 + patches, hidden]`` of a square.
        method: the name of its method that interpolates.
        rows: of patches.
        columns: of patches.
        mode: ``bicubic`` for DINOv2, ``bilinear`` for DPT, between pixel centres.
    """
    positions = embeddings.get_parameter("position_embeddings").detach()
    side = round((positions.shape[1] - 1) ** 0.5)
    grid = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, (rows, columns), mode=mode, align_corners=False)
    table = torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
    embeddings.register_buffer("fixed_positions", table, persistent=False)
    setattr(embeddings, method, lambda *_arguments: embeddings.fixed_positions)


def drop_mask(encoder: nn.Module) -> None:
    """Keep an encoder from being given an attention mask.

    ``transformers`` 5 makes one of zeros, tokens by tokens, whenever a network is exported, and every layer adds it.
    """

    def unmasked(
        _: nn.Module, arguments: tuple[object, ...], named: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        return arguments, {key: None if key == "attention_mask" else value for key, value in named.items()}

    encoder.register_forward_pre_hook(unmasked, with_kwargs=True)


class Depth(nn.Module):
    """A depth network of ``transformers`` as one that takes and gives tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised float32 ``[1, 3, H, W]`` to float32 ``[1, 1, H, W]``."""
        depth: torch.Tensor = self.network(pixel_values=x).predicted_depth
        return depth.unsqueeze(1)
