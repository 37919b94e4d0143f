"""Checkpoints: state dicts out of files, and into networks without a key too many or too few."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from depthdeploy.plugin import ModelError

#: What training scripts wrap a state dict in.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PICKLED = frozenset({".pt", ".pth", ".bin", ".tar", ".ckpt"})
#: The files of a ``transformers`` folder, the safer first.
_IN_FOLDER = ("model.safetensors", "pytorch_model.bin")
#: How many keys of one kind an error names.
_NAMED = 8


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name; floating-point ones as float32, on the processor.

    Args:
        path: a ``.safetensors`` file, a pickled state dict (``.pt``, ``.pth``, ``.bin``, ``.tar``, ``.ckpt``), bare,
            wrapped in ``{"state_dict": ...}`` or saved from ``DataParallel``, or a folder of ``transformers``.

    Raises:
        ModelError: there is no such file, it is damaged, or it holds something else than tensors by name.
    """
    file = _file_of(path)
    state = _unwrapped(_read(file), file)
    if all(key.startswith("module.") for key in state):  # as DataParallel saves
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def load_strictly(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], *, source: Path, unused: Iterable[str] = ()
) -> None:
    """Put a state dict into a network, which may lie on the meta device, and set it to evaluation mode.

    ``num_batches_tracked``, which only training reads, may be missing or present.

    Args:
        network: its tensors are replaced.
        state: key -> tensor.
        source: the file, for the message.
        unused: beginnings of keys that the forward pass never reads and that may be missing.

    Raises:
        ModelError: keys are missing, unexpected or misshapen; they are named.
    """
    expected = network.state_dict()
    passive = tuple(unused)
    given = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    needed = {key for key in expected if not key.endswith("num_batches_tracked")}
    missing = sorted(key for key in needed - given.keys() if not key.startswith(passive))
    unexpected = sorted(given.keys() - needed)
    misshapen = [
        f"{key} {list(given[key].shape)} instead of {list(expected[key].shape)}"
        for key in sorted(given.keys() & needed)
        if given[key].shape != expected[key].shape
    ]
    if missing or unexpected or misshapen:
        found = [
            f"{len(keys)} {kind} ({', '.join(keys[:_NAMED])}{', ...' if len(keys) > _NAMED else ''})"
            for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
            if keys
        ]
        raise ModelError(
            f"{source} does not fit the network: {'; '.join(found)}.",
            "Give the weights of this very network with --weights, or another --model.",
        )
    fill = {key: given.get(key, torch.zeros(value.shape, dtype=value.dtype)) for key, value in expected.items()}
    network.load_state_dict(fill, assign=True)
    network.requires_grad_(requires_grad=False)
    network.eval()


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _IN_FOLDER:
        if (path / name).is_file():
            return path / name
    raise ModelError(f"{path} holds none of {', '.join(_IN_FOLDER)}.", "Give the weights file itself with --weights.")


def _read(file: Path) -> object:
    readers: dict[str, Callable[[Path], object]] = {".safetensors": load_file}
    reader = readers.get(file.suffix.lower(), _unpickled if file.suffix.lower() in _PICKLED else None)
    if reader is None:
        raise ModelError(
            f"{file} has none of the endings of a checkpoint: .safetensors, {', '.join(sorted(_PICKLED))}.",
            "Give such a file with --weights; an ONNX graph is given with --onnx instead.",
        )
    try:
        return reader(file)
    except pickle.UnpicklingError as cause:
        raise ModelError(
            f"{file} holds more than tensors: reading it would run the code inside it.",
            "Load it where its code is trusted and save the tensors: torch.save(model.state_dict(), 'weights.pt').",
        ) from cause
    except OSError as cause:
        raise ModelError(
            f"{file} cannot be read: {cause.strerror or cause}.", "Check the path and its rights."
        ) from cause
    except (SafetensorError, RuntimeError, EOFError, ValueError) as cause:
        raise ModelError(f"{file} is damaged or not a checkpoint: {cause}.", "Download it again.") from cause


def _unpickled(file: Path) -> object:
    return torch.load(file, map_location="cpu", weights_only=True)


def _unwrapped(found: object, file: Path) -> dict[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found:
        raise ModelError(
            f"{file} holds {type(found).__name__}, not tensors by name.", "Give a state dict with --weights."
        )
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    if len(tensors) < len(found):
        others = sorted(str(key) for key in found if str(key) not in tensors)
        raise ModelError(
            f"{file} holds other things than tensors: {', '.join(others[:_NAMED])}.", "Give a bare state dict."
        )
    return tensors
