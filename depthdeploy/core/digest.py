"""SHA-256 digests of files and of frozen values."""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath

import numpy as np

from depthdeploy.errors import ModelError

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits.

    Raises:
        ModelError: the file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as cause:
        raise ModelError(
            f"{path} cannot be read: {cause.strerror or cause}.", "Check the path and its rights."
        ) from cause
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def plain(value: object) -> object:
    """A frozen value as JSON types: dataclasses become objects, enums their values, paths and tuples text and lists.

    Raises:
        TypeError: the value holds something that has no canonical JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (frozenset, set)):
        return sorted(plain(item) for item in value)  # type: ignore[type-var]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def canonical_json(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(value: object) -> str:
    """The SHA-256 of a frozen value's canonical JSON."""
    return sha256_bytes(canonical_json(value))
