"""Pico with weights of the user's; the packaged graph needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

import torch

from depthdeploy.plugin import InputContract, ModelCard
from depthdeploy_models.checkpoint import load_strictly, read_state_dict
from depthdeploy_models.pico.model import build as architecture


def build(card: ModelCard, weights: Path, contract: InputContract) -> torch.nn.Module:
    """The network with its weights. It takes any legal size, so that card and contract change nothing.

    Raises:
        ModelError: the weights do not fit.
    """
    with torch.device("meta"):
        network = architecture()
    load_strictly(network, read_state_dict(weights), source=weights)
    return network


def drawn(_card: ModelCard, _contract: InputContract) -> torch.nn.Module:
    """The network with freshly drawn weights; it takes any legal size."""
    return architecture()
