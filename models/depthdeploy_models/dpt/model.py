"""DPT (Ranftl et al. 2021) through ``transformers``, from configurations of ours: no hub is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import nn
from transformers import DPTConfig, DPTForDepthEstimation

from depthdeploy.plugin import InputContract, ModelCard
from depthdeploy_models.checkpoint import read_state_dict
from depthdeploy_models.hub import ATTENTION, Depth, fix_positions, load_published

_PATCH: Final = 16
#: The side that the position embedding was trained at.
_TRAINED: Final = 384
#: Behind the last tap; and the deepest fusion block has nothing to add: the published files leave its first unit out.
UNUSED: Final = ("dpt.layernorm.", "neck.fusion_stage.layers.0.residual_layer1.")


def architecture(card: ModelCard) -> DPTForDepthEstimation:
    """The network of a card with freshly drawn weights."""
    own = _hybrid() if card.id == "dpt-hybrid" else _large()
    shared = {"image_size": _TRAINED, "patch_size": _PATCH, "readout_type": "project"}
    return DPTForDepthEstimation(DPTConfig.from_dict(own | shared, attn_implementation=ATTENTION))


def _large() -> dict[str, object]:
    """ViT-L/16 (``Intel/dpt-large``)."""
    return {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "backbone_out_indices": [5, 11, 17, 23],
        "neck_hidden_sizes": [256, 512, 1024, 1024],
    }


def _hybrid() -> dict[str, object]:
    """ViT-B/16 over a ResNet-50 without its last stage (``Intel/dpt-hybrid-midas``)."""
    backbone = {
        "model_type": "bit",
        "global_padding": "same",
        "layer_type": "bottleneck",
        "depths": [3, 4, 9],
        "out_features": ["stage1", "stage2", "stage3"],
        "embedding_dynamic_padding": True,
    }
    return {
        "is_hybrid": True,
        "backbone_config": backbone,
        "backbone_featmap_shape": [1, 1024, _TRAINED // _PATCH, _TRAINED // _PATCH],
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "backbone_out_indices": [2, 5, 8, 11],
        "reassemble_factors": [1, 1, 1, 0.5],
        "neck_hidden_sizes": [256, 512, 768, 768],
        "neck_ignore_stages": [0, 1],
    }


class Grid(nn.Module):
    """A neck that is told how many rows and columns of patches there are; by itself it takes them for a square."""

    def __init__(self, neck: nn.Module, rows: int, columns: int) -> None:
        super().__init__()
        self.neck = neck
        self.rows = rows
        self.columns = columns

    def forward(self, hidden_states: list[torch.Tensor], *_: object) -> list[torch.Tensor]:
        """Four float32 token sequences ``[1, 1 + patches, hidden]``, or feature maps, to four fused feature maps."""
        result: list[torch.Tensor] = self.neck(hidden_states, self.rows, self.columns)
        return result


def build(card: ModelCard, weights: Path, contract: InputContract) -> nn.Module:
    """The network with its weights, for one size.

    Raises:
        ModelError: the weights do not fit.
    """
    state = read_state_dict(weights)
    with torch.device("meta"):
        network = architecture(card)
    load_published(network, state, source=weights, unused=UNUSED)
    return sized(network, contract)


def drawn(card: ModelCard, contract: InputContract) -> nn.Module:
    """The network with freshly drawn weights, for one size."""
    return sized(architecture(card), contract)


def sized(network: DPTForDepthEstimation, contract: InputContract) -> Depth:
    """The network for one size: position embedding and patch grid are fixed here.

    By itself ``transformers`` takes no other size than 384x384 for the hybrid network, and squares for the large one.
    """
    rows, columns = contract.height // _PATCH, contract.width // _PATCH
    embeddings = network.dpt.embeddings
    fix_positions(embeddings, "_resize_pos_embed", rows=rows, columns=columns, mode="bilinear")
    embeddings.image_size = (contract.height, contract.width)
    network.add_module("neck", Grid(network.neck, rows, columns))
    result = Depth(network)
    result.eval()
    return result
