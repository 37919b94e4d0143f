"""Where a network's weights are: given, packaged, in the cache, or to be downloaded."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from depthdeploy.core.digest import digest_of, sha256_file
from depthdeploy.core.model import ModelCard
from depthdeploy.core.progress import Progress, silent
from depthdeploy.errors import LicenceError, ModelError, StorageError
from depthdeploy.frontend.download import Downloader, download

#: What counts in a folder of weights; a clone's history and documentation do not.
_WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".onnx", ".data", ".json"})


@dataclass(frozen=True, slots=True)
class LocatedWeights:
    """A network's weights on this machine.

    Attributes:
        path: a file, or a folder in the layout of ``transformers``.
        sha256: the file's digest; for a folder, of its files' names and digests.
        source: where they came from, in words.
    """

    path: Path
    sha256: str
    source: str


def locate_weights(
    card: ModelCard,
    *,
    given: Path | None,
    cache: Path,
    accepted_licence: str | None,
    progress: Progress = silent,
    downloader: Downloader = download,
) -> LocatedWeights:
    """The weights of a network: those given, else packaged, else in the cache, else downloaded into it.

    A download whose digest nobody publishes is recorded beside the file (``NAME.sha256``) and held to afterwards.

    Args:
        card: the network.
        given: a file or folder of the user's.
        cache: the folder of downloads.
        accepted_licence: the SPDX identifier of a licence that the user accepts.
        progress: of the download.
        downloader: fetches a file.

    Raises:
        LicenceError: the licence needs the user's consent; also for weights that are given.
        ModelError: there are none, or they are other ones than the card says.
        StorageError: the download cannot be stored.
    """
    require_consent(card, accepted_licence)
    if given is not None:
        return _given(card, given)
    if card.weights.packaged:
        return _packaged(card, Path(card.weights.packaged))
    path = cache / card.weights.filename
    if path.is_file():
        return _cached(card, path)
    _require_address(card, path)
    digest = downloader(card.weights.url, path, sha256=card.weights.sha256, progress=progress)
    _record(path, digest)
    return LocatedWeights(path, digest, f"downloaded from {card.weights.url}")


def at_hand(card: ModelCard, *, given: Path | None, cache: Path) -> None:
    """Whether the weights are on this machine or can be downloaded; nothing is read or fetched.

    Raises:
        ModelError: they are neither.
    """
    if given is not None and not given.exists():
        raise ModelError(f"There is no file {given}.", "Correct --weights, or leave it out.")
    if given is None and not card.weights.packaged and not (cache / card.weights.filename).is_file():
        _require_address(card, cache / card.weights.filename)


def _require_address(card: ModelCard, path: Path) -> None:
    if not card.weights.url:
        raise ModelError(
            f"The weights of {card.title} cannot be downloaded by depthdeploy. {card.notes}".strip(),
            f"Give the file with --weights, or put it at {path}.",
        )


def require_consent(card: ModelCard, accepted: str | None) -> None:
    """Weights that forbid commercial use need the user's word.

    Raises:
        LicenceError: it is missing, or names another licence.
    """
    licence = card.licence
    if licence.commercial or accepted == licence.spdx:
        return
    said = f" --accept-licence {accepted} names another licence." if accepted else ""
    raise LicenceError(
        f"The weights of {card.title} are under {licence.spdx} ({licence.url}), which forbids commercial use.{said}",
        f"If you accept it, add --accept-licence {licence.spdx}.",
    )


def _given(card: ModelCard, path: Path) -> LocatedWeights:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in _WEIGHTS)
        if not files:
            raise ModelError(f"The folder {path} holds no weights.", f"Give the weights of {card.title}.")
        digest = digest_of({file.name: sha256_file(file) for file in files})
        return LocatedWeights(path, digest, f"given: {path}")
    if not path.is_file():
        raise ModelError(f"There is no file {path}.", "Correct --weights, or leave it out.")
    return LocatedWeights(path, sha256_file(path), f"given: {path}")


def _packaged(card: ModelCard, path: Path) -> LocatedWeights:
    if not path.is_file():
        raise ModelError(f"The weights of {card.title} are missing from the installation: {path}.", "Reinstall it.")
    digest = sha256_file(path)
    if not digest.startswith(card.weights.sha256):
        raise ModelError(
            f"{path} has SHA-256 {digest}, and the card says {card.weights.sha256}.", "Reinstall the model."
        )
    return LocatedWeights(path, digest, "packaged")


def _cached(card: ModelCard, path: Path) -> LocatedWeights:
    digest = sha256_file(path)
    note = _note(path)
    expected = card.weights.sha256 or (note.read_text("utf-8").strip() if note.is_file() else "")
    if not digest.startswith(expected):
        raise ModelError(
            f"{path} has SHA-256 {digest}, and {expected} was expected: it is damaged or another file.",
            f"Delete it and {note.name} to have it downloaded again, or give the weights with --weights.",
        )
    if not expected:  # put there by hand
        _record(path, digest)
    return LocatedWeights(path, digest, f"cache: {path}")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _record(path: Path, digest: str) -> None:
    """Write the digest beside the file, whole or not at all."""
    note = _note(path)
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as stream:
            stream.write(f"{digest}\n")
        Path(stream.name).replace(note)
    except OSError as cause:
        raise StorageError(
            f"{note} cannot be written: {cause.strerror or cause}.", "Choose another place with --cache."
        ) from cause
