"""A network plug-in: a card, and the place of a function that is imported when the network is built."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from depthdeploy.plugin import InputContract, ModelCard, ModelError, ToolchainMissing

if TYPE_CHECKING:
    import torch

_OUTLINES = Path(__file__).with_name("outlines")
_OPTIONAL = frozenset({"torch", "transformers", "safetensors"})


@dataclass(frozen=True, slots=True)
class Network:
    """A card and its builder; PyTorch is imported by ``build`` alone, so that cards are listed at once.

    Attributes:
        card: the facts of the network.
        module: the module with ``build(card, weights, contract)`` and ``drawn(card, contract)``.
    """

    card: ModelCard
    module: str

    @property
    def outline(self) -> Path | None:
        """The canonical graph at the card's size without its weights; ``None`` where none is packaged."""
        path = _OUTLINES / f"{self.card.id}.onnx.gz"
        return path if path.is_file() else None

    def build(self, weights: Path, contract: InputContract) -> torch.nn.Module:
        """The network in evaluation mode, ``[1, 3, H, W]`` to ``[1, 1, H, W]`` float32, ready for export.

        Raises:
            ModelError: the weights do not fit the architecture, or the network cannot take the contract's size.
            ToolchainMissing: PyTorch or transformers is not installed.
        """
        self._check_size(contract)
        with self._pytorch():
            module = importlib.import_module(self.module)
            return cast("torch.nn.Module", module.build(self.card, weights, contract))

    def drawn(self, contract: InputContract) -> torch.nn.Module:
        """The network in evaluation mode with freshly drawn weights: its graph is that of every checkpoint.

        Raises:
            ModelError: the network cannot take the contract's size.
            ToolchainMissing: PyTorch or transformers is not installed.
        """
        self._check_size(contract)
        with self._pytorch():
            module = importlib.import_module(self.module)
            return cast("torch.nn.Module", module.drawn(self.card, contract)).eval()

    def _check_size(self, contract: InputContract) -> None:
        height, width, multiple = contract.height, contract.width, self.card.input.multiple
        if height % multiple or width % multiple:
            raise ModelError(
                f"{self.card.title} takes sides that are multiples of {multiple}, not {height}x{width}.",
                f"Give --size {_nearest(height, multiple)}x{_nearest(width, multiple)}.",
            )

    @contextmanager
    def _pytorch(self) -> Iterator[None]:
        """PyTorch that is not installed is told as such."""
        try:
            yield
        except ModuleNotFoundError as cause:
            if cause.name is None or cause.name.partition(".")[0] not in _OPTIONAL:
                raise
            raise ToolchainMissing(
                f"{self.card.title} is built with PyTorch, and {cause.name} is not installed.",
                "Run pip install 'depthdeploy[export]'.",
            ) from cause


def _nearest(side: int, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
