"""Depth Anything V2 (Yang et al. 2024) through ``transformers``, from configurations of ours: no hub is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

from depthdeploy.plugin import DepthKind, InputContract, ModelCard, ModelError
from depthdeploy_models.checkpoint import read_state_dict
from depthdeploy_models.depth_anything_v2.original import as_published, is_original
from depthdeploy_models.hub import ATTENTION, Depth, drop_mask, fix_positions, load_published

_PATCH: Final = 14
#: The side that the position embedding was trained at.
_TRAINED: Final = 518
#: Read in training alone, and in fusion of the deepest features with nothing.
UNUSED: Final = ("backbone.embeddings.mask_token", "neck.fusion_stage.layers.0.residual_layer1.")


@dataclass(frozen=True, slots=True)
class _Size:
    hidden: int
    layers: int
    heads: int
    taps: tuple[int, ...]
    neck: tuple[int, ...]
    fusion: int


_SIZES: Final = {
    "small": _Size(384, 12, 6, (3, 6, 9, 12), (48, 96, 192, 384), 64),
    "base": _Size(768, 12, 12, (3, 6, 9, 12), (96, 192, 384, 768), 128),
    "large": _Size(1024, 24, 16, (5, 12, 18, 24), (256, 512, 1024, 1024), 256),
}


def architecture(card: ModelCard) -> DepthAnythingForDepthEstimation:
    """The network of a card with freshly drawn weights."""
    size = _SIZES[card.id.rpartition("-")[2]]
    metric = card.output.kind is DepthKind.METRIC_DEPTH
    backbone = {
        "model_type": "dinov2",
        "hidden_size": size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "image_size": _TRAINED,
        "patch_size": _PATCH,
        "out_indices": list(size.taps),
        "apply_layernorm": True,
        "reshape_hidden_states": False,
    }
    values = {
        "backbone_config": backbone,
        "reassemble_hidden_size": size.hidden,
        "patch_size": _PATCH,
        "neck_hidden_sizes": list(size.neck),
        "fusion_hidden_size": size.fusion,
        "head_hidden_size": 32,
        "depth_estimation_type": "metric" if metric else "relative",
        "max_depth": int(card.output.far) if metric and card.output.far else 1,
    }
    return DepthAnythingForDepthEstimation(DepthAnythingConfig.from_dict(values, attn_implementation=ATTENTION))


def build(card: ModelCard, weights: Path, contract: InputContract) -> nn.Module:
    """The network with its weights, for one size.

    Args:
        card: which size, and whether it predicts metres.
        weights: a folder of ``transformers``, or a file with the hub's or the authors' key names.
        contract: the size.

    Raises:
        ModelError: the weights do not fit.
    """
    _check_folder(card, weights)
    state = read_state_dict(weights)
    with torch.device("meta"):
        network = architecture(card)
    load_published(network, as_published(state) if is_original(state) else state, source=weights, unused=UNUSED)
    return sized(network, contract)


def drawn(card: ModelCard, contract: InputContract) -> nn.Module:
    """The network with freshly drawn weights, for one size."""
    return sized(architecture(card), contract)


def sized(network: DepthAnythingForDepthEstimation, contract: InputContract) -> Depth:
    """The network for one size: its position embedding is interpolated here, once."""
    rows, columns = contract.height // _PATCH, contract.width // _PATCH
    embeddings = network.backbone.embeddings
    fix_positions(embeddings, "interpolate_pos_encoding", rows=rows, columns=columns, mode="bicubic")
    drop_mask(network.backbone.encoder)
    result = Depth(network)
    result.eval()
    return result


def _check_folder(card: ModelCard, weights: Path) -> None:
    """Refuse a folder for other depths: relative and metric networks have the same tensors.

    Raises:
        ModelError: ``config.json`` is damaged, or says other depths than the card.
    """
    path = weights / "config.json"
    if not weights.is_dir() or not path.is_file():
        return
    try:
        config = json.loads(path.read_text("utf-8"))
        found = (str(config.get("depth_estimation_type", "relative")), float(config.get("max_depth") or 1))
    except (OSError, ValueError, TypeError, AttributeError) as cause:
        raise ModelError(f"{path} cannot be read: {cause}.", "Download the folder again.") from cause
    metric = card.output.kind is DepthKind.METRIC_DEPTH
    expected = ("metric", card.output.far) if metric else ("relative", 1.0)
    if found != expected:
        raise ModelError(
            f"{path} says {found[0]} depth up to {found[1]:g}; {card.title} has {expected[0]} up to {expected[1]:g}.",
            "Give the weights of this very network, or another --model.",
        )
