"""Where learning runs."""

from __future__ import annotations

import torch

from depthdeploy.errors import UsageError


def choose(wanted: str) -> str:
    """``cpu`` or ``cuda``, from what the user wants: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: a GPU is wanted, and PyTorch finds none.
    """
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UsageError(
            "--device cuda is asked for, and PyTorch finds no GPU.",
            "Give --device cpu, or install a PyTorch with CUDA: https://pytorch.org/get-started/locally/.",
        )
    return "cpu"


def describe(device: str) -> str:
    """``cpu``, or the GPU's name."""
    return device if device == "cpu" else torch.cuda.get_device_name(device)
