"""Network cards: the facts of ``card.toml``, read strictly."""

from __future__ import annotations

import dataclasses
import enum
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from depthdeploy.core.model import ModelCard
from depthdeploy.errors import ModelError

_VARIANTS = "variants"
_FAULTY = object()


def load_card(path: Path, variant: str = "") -> ModelCard:
    """The card in a TOML file; every fault of the file is reported at once.

    The keys are the fields of :class:`ModelCard`, its tables the fields of the types it holds. Networks that share
    facts share a file: what differs stands under ``[variants.NAME]``, whose tables are laid over the shared ones and
    whose values and arrays replace them. ``weights.packaged`` is relative to the card, and absolute in the result.

    Args:
        path: the TOML file.
        variant: which of the file's variants; empty for a file without variants.

    Raises:
        ModelError: the file cannot be read, or a key is unknown, missing, or of the wrong type or value.
    """
    table = _chosen(_parsed(path), variant, path)
    faults: list[str] = []
    card = _dataclass(ModelCard, table, "", faults)
    if not isinstance(card, ModelCard) or faults:
        raise ModelError(f"{path} is not a card: {'; '.join(faults)}.", "Correct the file.")
    _check_digest(card, path)
    if not card.weights.packaged:
        return card
    packaged = str(path.resolve().parent / card.weights.packaged)
    return dataclasses.replace(card, weights=dataclasses.replace(card.weights, packaged=packaged))


def _parsed(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as cause:
        raise ModelError(
            f"The card {path} cannot be read: {cause.strerror or cause}.", "Reinstall the model."
        ) from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ModelError(f"{path} is not TOML: {cause}.", "Correct the file.") from cause


def _chosen(table: dict[str, object], variant: str, path: Path) -> Mapping[str, object]:
    """The file's shared tables with one variant's laid over them."""
    variants = table.pop(_VARIANTS, {})
    if not isinstance(variants, dict):
        raise ModelError(
            f"{path}: variants: expected a table of tables, found {_named(variants)}.", "Correct the file."
        )
    if not variant and not variants:
        return table
    own = variants.get(variant)
    if not isinstance(own, dict):
        raise ModelError(
            f"{path} has no variant {variant!r}; it has {', '.join(variants) or 'none'}.", "Name one of them."
        )
    return _laid_over(table, own)


def _laid_over(shared: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    merged = dict(shared)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _check_digest(card: ModelCard, path: Path) -> None:
    if not re.fullmatch(r"[0-9a-f]{0,64}", card.weights.sha256):
        raise ModelError(
            f"{path}: weights.sha256: expected up to 64 lower-case hexadecimal digits, found {card.weights.sha256!r}.",
            "Correct the file.",
        )


def _dataclass(cls: type, value: object, where: str, faults: list[str]) -> object:
    """An instance of ``cls`` from a table, or ``_FAULTY`` with what is wrong added to ``faults``."""
    if not isinstance(value, Mapping):
        faults.append(f"{where}: expected a table, found {_named(value)}")
        return _FAULTY
    prefix = f"{where}." if where else ""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    before = len(faults)
    faults += [
        f"{prefix}{key}: expected one of {', '.join(fields)}, found an unknown key"
        for key in value
        if key not in fields
    ]
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            faults.append(f"{prefix}{name}: expected {_wanted(hints[name])}, found nothing")
    arguments = {
        name: _converted(hints[name], value[name], f"{prefix}{name}", faults) for name in fields if name in value
    }
    if len(faults) > before:
        return _FAULTY
    try:
        return cls(**arguments)
    except ValueError as cause:
        faults.append(f"{where or 'the card'}: {cause}")
        return _FAULTY


def _converted(hint: object, value: object, where: str, faults: list[str]) -> object:
    """A TOML value as the type of a field."""
    if isinstance(hint, types.UnionType):  # ``X | None``: a key that is there is an X
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _tuple(typing.get_args(hint), value, where, faults)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _dataclass(hint, value, where, faults)
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and value in {member.value for member in hint}:
        return hint(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint:
        return value
    faults.append(f"{where}: expected {_wanted(hint)}, found {_named(value)}")
    return _FAULTY


def _tuple(parts: tuple[object, ...], value: object, where: str, faults: list[str]) -> object:
    repeated = parts[-1] is Ellipsis
    if not isinstance(value, list) or not (repeated or len(value) == len(parts)):
        count = "" if repeated else f" of {len(parts)}"
        faults.append(f"{where}: expected an array{count}, found {_named(value)}")
        return _FAULTY
    wanted = [parts[0]] * len(value) if repeated else list(parts)
    return tuple(
        _converted(hint, item, f"{where}[{index}]", faults)
        for index, (hint, item) in enumerate(zip(wanted, value, strict=True))
    )


def _wanted(hint: object) -> str:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return f"one of {', '.join(str(member.value) for member in hint)}"
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return "a table"
    words = ((str, "text"), (int, "an integer"), (float, "a number"), (bool, "true or false"))
    return next((word for kind, word in words if hint is kind), str(hint))


def _named(value: object) -> str:
    return f"{type(value).__name__} {value!r}"
