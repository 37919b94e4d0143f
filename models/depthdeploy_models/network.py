"""A network plug-in: a card, and the place of a function that is imported when the network is built."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from depthdeploy.plugin import InputContract, ModelCard, ModelError, ToolchainMissing

if TYPE_CHECKING:
    import torch

_OPTIONAL = frozenset({"torch", "transformers", "safetensors"})


@dataclass(frozen=True, slots=True)
class Network:
    """A card and its builder; PyTorch is imported by ``build`` alone, so that cards are listed at once.

    Attributes:
        card: the facts of the network.
        module: the module with ``build(card, weights, contract)``.
    """

    card: ModelCard
    module: str

    def build(self, weights: Path, contract: InputContract) -> torch.nn.Module:
        """The network in evaluation mode, ``[1, 3, H, W]`` to ``[1, 1, H, W]`` float32, ready for export.

        Raises:
            ModelError: the weights do not fit the architecture, or the network cannot take the contract's size.
            ToolchainMissing: PyTorch or transformers is not installed.
        """
        height, width, multiple = contract.height, contract.width, self.card.input.multiple
        if height % multiple or width % multiple:
            raise ModelError(
                f"{self.card.title} takes sides that are multiples of {multiple}, not {height}x{width}.",
                f"Give --size {_nearest(height, multiple)}x{_nearest(width, multiple)}.",
            )
        try:
            module = importlib.import_module(self.module)
            return cast("torch.nn.Module", module.build(self.card, weights, contract))
        except ModuleNotFoundError as cause:
            if cause.name is None or cause.name.partition(".")[0] not in _OPTIONAL:
                raise
            raise ToolchainMissing(
                f"{self.card.title} is built with PyTorch, and {cause.name} is not installed.",
                "Run pip install 'depthdeploy[export]'.",
            ) from cause


def _nearest(side: int, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
