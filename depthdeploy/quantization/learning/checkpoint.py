"""What a training needs to go on after an interruption, in one file that appears whole or not at all."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from depthdeploy.errors import StorageError

_NAME = "checkpoint.pt"


@dataclass(slots=True)
class State:
    """Where a training stands.

    Attributes:
        steps: how many the whole course has.
        done: how many of them are done.
        start: SQNR in dB of the draft on the photographs that are held out.
        best: the highest since.
        best_step: after how many steps that was.
        displacements: what has been learned, by key.
        kept: the same at the best step.
        optimizer: its state; empty before the first step.
        setbacks: how often it went back to the best step with half the rate.
        diverged: whether something was not finite, so that it ended there.
    """

    steps: int
    done: int = 0
    start: float = 0.0
    best: float = 0.0
    best_step: int = 0
    displacements: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    setbacks: int = 0
    diverged: bool = False


def save(state: State, folder: Path, identity: str) -> None:
    """Write a state.

    Args:
        state: where the training stands.
        folder: an existing one.
        identity: of everything that the training depends on.

    Raises:
        StorageError: the file cannot be written.
    """
    path = folder / _NAME
    partial = path.with_suffix(".partial")
    values = {name: getattr(state, name) for name in State.__dataclass_fields__}
    try:
        torch.save({"identity": identity, "state": values}, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as cause:
        raise StorageError(f"{path} cannot be written: {cause}.", "Free some space, or check the rights.") from cause


def load(folder: Path, identity: str, device: str) -> State | None:
    """The state that lies in a folder; ``None`` if none does, or it is another training's, or cannot be read."""
    path = folder / _NAME
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location=device, weights_only=True)
        return State(**found["state"]) if found["identity"] == identity else None
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        return None


def forget(folder: Path) -> None:
    """Take the file away."""
    (folder / _NAME).unlink(missing_ok=True)
