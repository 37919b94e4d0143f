"""What the tools of the comparison have in common with ours: whose activations have one grid, and who learns."""

from __future__ import annotations

from collections.abc import Iterable

from quantizers.rows import Row
from quantizers.tools import PEERS

#: Tools whose activations before depthwise layers have a grid per channel: another scheme, with more freedom.
PER_CHANNEL = frozenset(
    name for name, one in PEERS.items() if one.environment == "nncf" and "activations=tensor" not in one.options
)

#: Tools that learn weights by gradients.
LEARNING = frozenset({"aimet-adaround"})

#: What a network's name ends in when its channels were rescaled.
HARD = ("-hard", "-harder")


def is_ours(tool: str) -> bool:
    return tool.startswith("ours:")


def marked(tool: str) -> str:
    """The name with a footnote's sign where the scheme is another one."""
    return f"{tool} ¹" if tool in PER_CHANNEL else tool


def easy_networks(rows: Iterable[Row]) -> tuple[str, ...]:
    """The networks that are not rescaled, in the order of the rows."""
    return tuple(dict.fromkeys(row.network for row in rows if not row.network.endswith(HARD)))


def networks(rows: Iterable[Row]) -> tuple[str, ...]:
    """All networks, each followed by its rescaled variants."""
    found = tuple(dict.fromkeys(row.network for row in rows))
    easy = tuple(dict.fromkeys(_easy(name) for name in found))
    return tuple(sorted(found, key=lambda name: (easy.index(_easy(name)), len(name))))


def _easy(name: str) -> str:
    return next((name.removesuffix(end) for end in HARD if name.endswith(end)), name)
