"""What the summaries of files have in common: sizes by layer, foreign text made harmless, damage named."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from depthdeploy.errors import ModelError

Key = TypeVar("Key", bound=Hashable)

#: So many layers stand in a table; JSON has all of them.
_SHOWN = 8
#: Names longer than this are cut in a table; names of fused layers run to hundreds of characters.
_NAME = 60


def damaged(path: Path, found: str) -> ModelError:
    """The error of a file that is not what its kind should be: what was found, and where."""
    return ModelError(f"{path} is damaged: {found}.", "Compile the network anew, or copy the file again.")


def printable(text: str) -> str:
    """Text from a file with every character that does not print, line ends and lone surrogates among them, escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def ordered(counts: Mapping[str, int]) -> dict[str, int]:
    """The largest first; equals by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def counted(counts: Mapping[str, int], unit: str = "") -> str:
    """``Conv 5, Clip 2``, or with a unit ``int8 1,024 bytes``."""
    return ", ".join(f"{name} {number:,}{unit}" for name, number in counts.items())


def shortened(name: str) -> str:
    """A name that fits a table; its end is cut."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def largest_rows(layer_bytes: Mapping[str, int]) -> list[tuple[str, str]]:
    """Rows of the layers with the largest constants, and one for all the others together."""
    if not layer_bytes:
        return []
    total = sum(layer_bytes.values()) or 1
    items = list(layer_bytes.items())
    rows = [("layer size", f"{size:,} bytes ({size / total:.1%}) {shortened(name)}") for name, size in items[:_SHOWN]]
    rest = items[_SHOWN:]
    if rest:
        rows.append(("layer size", f"{sum(size for _, size in rest):,} bytes in {len(rest)} others"))
    return rows


def bytes_by_layer(
    constants: Mapping[Key, int], layers: Iterable[tuple[str, Collection[Key], Collection[Key]]]
) -> dict[str, int]:
    """Bytes of constants by the layer that computes with them.

    A layer that reads constants alone (a dequantization of weights) hands their bytes on to the layer that reads its
    result; a constant with several readers counts for the first.

    Args:
        constants: value -> its bytes.
        layers: name, values read and values written of each, in the order they run.

    Returns:
        Name -> bytes, the largest first; constants that no layer computes with are left out.
    """
    pending = dict(constants)
    fixed = set(constants)
    held: dict[str, int] = {}
    for name, read, written in layers:
        size = sum(pending.pop(value, 0) for value in set(read))
        if read and written and all(value in fixed for value in read):
            fixed.update(written)
            first = next(iter(written))
            pending[first] = pending.get(first, 0) + size
        elif size:
            held[name] = held.get(name, 0) + size
    return ordered(held)
