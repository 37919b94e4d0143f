"""The key names of the authors' own checkpoints (``depth_anything_v2_vits.pth``), as the hub's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import torch

#: The authors' names -> the hub's, by ``convert_depth_anything_to_hf.py`` of transformers. The fusion blocks count
#: from the finest there and from the deepest here, so that 1 becomes 3.
_RENAMES: Final = (
    (r"pretrained\.(cls_token|mask_token)", r"backbone.embeddings.\1"),
    (r"pretrained\.pos_embed", "backbone.embeddings.position_embeddings"),
    (r"pretrained\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings.projection."),
    (r"pretrained\.norm\.", "backbone.layernorm."),
    (r"pretrained\.blocks\.(\d+)\.ls(\d)\.gamma", r"backbone.encoder.layer.\1.layer_scale\2.lambda1"),
    (r"pretrained\.blocks\.(\d+)\.attn\.proj\.", r"backbone.encoder.layer.\1.attention.output.dense."),
    (r"pretrained\.blocks\.(\d+)\.", r"backbone.encoder.layer.\1."),
    (r"depth_head\.projects\.(\d)\.", r"neck.reassemble_stage.layers.\1.projection."),
    (r"depth_head\.resize_layers\.(\d)\.", r"neck.reassemble_stage.layers.\1.resize."),
    (r"depth_head\.scratch\.output_conv1\.", "head.conv1."),
    (r"depth_head\.scratch\.output_conv2\.0\.", "head.conv2."),
    (r"depth_head\.scratch\.output_conv2\.2\.", "head.conv3."),
)
_LATERAL: Final = re.compile(r"depth_head\.scratch\.layer(\d)_rn\.")
_FUSION: Final = re.compile(r"depth_head\.scratch\.refinenet(\d)\.(?:(out_conv)|resConfUnit(\d)\.conv(\d))\.")
_QKV: Final = re.compile(r"pretrained\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)")


def is_original(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the keys are the authors' own."""
    return any(key.startswith("depth_head.") for key in state)


def as_published(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The authors' state dict under the hub's key names; query, key and value, one matrix there, are taken apart."""
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if match := _QKV.fullmatch(key):
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"backbone.encoder.layer.{match[1]}.attention.attention.{name}.{match[2]}"] = part.contiguous()
        else:
            renamed[_renamed(key)] = value
    return renamed


def _renamed(key: str) -> str:
    key = _LATERAL.sub(lambda match: f"neck.convs.{int(match[1]) - 1}.", key)
    key = _FUSION.sub(_fusion_name, key)
    for pattern, replacement in _RENAMES:
        key, count = re.subn(f"^{pattern}", replacement, key)
        if count:
            break
    return key


def _fusion_name(match: re.Match[str]) -> str:
    layer = f"neck.fusion_stage.layers.{4 - int(match[1])}"
    return f"{layer}.projection." if match[2] else f"{layer}.residual_layer{match[3]}.convolution{match[4]}."
