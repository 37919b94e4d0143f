"""The goals of the quantizer, as figures: what was wanted, what was found, reached or missed.

Where a goal compares with peers it is set twice: against those of the same scheme (one grid per activation), and
against all, with those whose activations have a grid per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from page.tools import HARD, LEARNING, PER_CHANNEL, easy_networks, is_ours
from quantizers.memory_rows import MemoryRow
from quantizers.rows import Row

ABOVE_PEERS_DB = 1.0
HARD_LOSS_DB = 1.0
KERNEL_GAP_DB = 0.5
BEST_ABOVE_LEARNING_DB = 2.0
BEST_DELTA1, BEST_DELTA1_P5, W4_DELTA1 = 99.9, 99.5, 98.5
MEMORY_MB = 1500.0

#: MiB, as the operating system counts, in MB, as the goal does.
MB_PER_MIB = 1.024**2

#: The recipes whose graphs are deployed.
DEPLOYED = ("fast", "best")

#: What the comparison is with -> whether a peer belongs to it.
SCHEMES: dict[str, Callable[[str], bool]] = {
    "same scheme": lambda tool: tool not in PER_CHANNEL,
    "all peers": lambda tool: True,
}


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal for one network.

    Attributes:
        name: what is wanted, in words.
        network: for which network.
        measured: the figure; ``None`` where it was not measured.
        bound: what the figure is held against; ``None`` where that was not measured.
        unit: of both.
        against: whose figure the bound is made from; empty for a fixed one.
        higher_is_better: whether the figure must reach the bound, or stay below it.
        digits: after the decimal point.
    """

    name: str
    network: str
    measured: float | None
    bound: float | None
    unit: str
    against: str = ""
    higher_is_better: bool = True
    digits: int = 2

    @property
    def outcome(self) -> str:
        """``reached``, ``missed`` or ``not measured``; the figures decide as measured, not as printed."""
        if self.measured is None or self.bound is None:
            return "not measured"
        reached = self.measured >= self.bound if self.higher_is_better else self.measured <= self.bound
        return "reached" if reached else "missed"

    @property
    def margin(self) -> float | None:
        """How far the figure is on the good side of its bound; negative for a missed goal."""
        if self.measured is None or self.bound is None:
            return None
        return (self.measured - self.bound) * (1.0 if self.higher_is_better else -1.0)


@dataclass(frozen=True, slots=True)
class Results:
    """The rows, found by network, tool and judge."""

    rows: tuple[Row, ...]
    by_key: dict[tuple[str, str, str], Row] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_key", {row.key: row for row in self.rows})

    def figure(self, network: str, tool: str, name: str, judge: str = "exact") -> float | None:
        """A row's figure by the name of its field; ``None`` where there is none."""
        row = self.by_key.get((network, tool, judge))
        value = getattr(row, name) if row is not None else None
        return float(value) if value is not None else None

    def best(self, network: str, name: str, keep: Callable[[str], bool], *, highest: bool) -> tuple[str, float] | None:
        """The exact judge's best figure among the peers that are kept, and whose it is."""
        found = [
            (row.tool, float(value))
            for row in self.rows
            if (row.network, row.judge) == (network, "exact") and not is_ours(row.tool) and keep(row.tool)
            if (value := getattr(row, name)) is not None
        ]
        return (max if highest else min)(found, key=lambda item: item[1], default=None)


def goals(rows: Sequence[Row], memory: Iterable[MemoryRow] = ()) -> tuple[Goal, ...]:
    """Every goal for every network that was measured, in the order in which they are told."""
    results = Results(tuple(rows))
    networks = easy_networks(row for row in rows if row.sqnr_db is not None)
    each = (_above_peers, _hard, _cost, _kernels, _speed, _best, _four_bits)
    return (*chain.from_iterable(one(results, network) for one in each for network in networks), *_curve(memory))


def _peer_bound(
    results: Results, network: str, scheme: str, learning: bool
) -> tuple[float | None, str]:  # learning: against those that learn
    """The SQNR of the best peer and its name; all peers, of whatever kind, are those that ``best`` may meet."""

    def keep(tool: str) -> bool:
        if learning and scheme == "all peers":
            return True
        return SCHEMES[scheme](tool) and (tool in LEARNING) == learning

    found = results.best(network, "sqnr_db", keep, highest=True)
    return (found[1], f"{scheme}: {found[0]} {found[1]:.2f}") if found else (None, scheme)


def _plus(value: float | None, more: float) -> float | None:
    return None if value is None else value + more


def _above_peers(results: Results, network: str) -> Iterator[Goal]:
    measured = results.figure(network, "ours:fast", "sqnr_db")
    for scheme in SCHEMES:
        bound, against = _peer_bound(results, network, scheme, learning=False)
        name = f"`fast`: best peer without learning + {ABOVE_PEERS_DB:g} dB"
        yield Goal(name, network, measured, _plus(bound, ABOVE_PEERS_DB), "dB", against)


def _hard(results: Results, network: str) -> Iterator[Goal]:
    easy = results.figure(network, "ours:fast", "sqnr_db")
    for suffix in HARD:
        variant = f"{network}{suffix}"
        if not any(row.network == variant for row in results.rows):
            continue
        found = results.figure(variant, "ours:fast", "sqnr_db")
        against = "" if easy is None else f"{network} {easy:.2f}"
        name = f"`fast`: rescaled channels cost at most {HARD_LOSS_DB:g} dB"
        yield Goal(name, variant, found, _plus(easy, -HARD_LOSS_DB), "dB", against)


def _cost(results: Results, network: str) -> Iterator[Goal]:
    """Against the cheapest of NNCF's settings, of the same scheme and of all."""
    for field_name, what, unit, digits in (("seconds", "time", "s", 1), ("peak_mib", "peak memory", "MiB", 0)):
        measured = results.figure(network, "ours:fast", field_name)
        for scheme, keep in SCHEMES.items():
            found = results.best(
                network,
                field_name,
                lambda tool, keep=keep: tool.startswith("nncf") and keep(tool),  # type: ignore[misc]
                highest=False,
            )
            against = f"{scheme}: {found[0]}" if found else scheme
            name = f"`fast`: {what} at most NNCF's"
            yield Goal(name, network, measured, found and found[1], unit, against, False, digits)


def _kernels(results: Results, network: str) -> Iterator[Goal]:
    for recipe in DEPLOYED:
        for judge in ("onnxruntime", "openvino"):
            emulated = results.figure(network, f"ours:{recipe}", "sqnr_db")
            kernels = results.figure(network, f"ours:{recipe}", "sqnr_db", judge)
            gap = None if emulated is None or kernels is None else abs(kernels - emulated)
            name = f"`{recipe}`: kernels within {KERNEL_GAP_DB:g} dB of exact emulation"
            yield Goal(name, network, gap, KERNEL_GAP_DB, "dB", judge, higher_is_better=False)


def _speed(results: Results, network: str) -> Iterator[Goal]:
    for recipe in DEPLOYED:
        for judge in ("onnxruntime", "openvino"):
            row = results.by_key.get((network, f"ours:{recipe}", judge))
            ratio = 1.0 / row.latency_to_peer if row and row.latency_to_peer else None
            against = f"{judge}: {row.peer}" if row and row.peer else judge
            name = f"`{recipe}`: speed of the deployed graph, times the peer's"
            yield Goal(name, network, ratio, 1.0, "×", against, digits=3)


def _best(results: Results, network: str) -> Iterator[Goal]:
    measured = results.figure(network, "ours:best", "sqnr_db")
    for scheme in SCHEMES:
        bound, against = _peer_bound(results, network, scheme, learning=True)
        name = f"`best`: best peer with learning + {BEST_ABOVE_LEARNING_DB:g} dB"
        yield Goal(name, network, measured, _plus(bound, BEST_ABOVE_LEARNING_DB), "dB", against)
    for field_name, what, bound in (("delta1", "delta1", BEST_DELTA1), ("delta1_p5", "delta1 p5", BEST_DELTA1_P5)):
        yield Goal(f"`best`: {what}", network, results.figure(network, "ours:best", field_name), bound, "%", digits=3)


def _four_bits(results: Results, network: str) -> Iterator[Goal]:
    yield Goal(
        "`best-w4`: delta1", network, results.figure(network, "ours:best-w4", "delta1"), W4_DELTA1, "%", digits=3
    )


def _curve(memory: Iterable[MemoryRow]) -> Iterator[Goal]:
    """The point with the most photographs of every network and recipe."""
    last: dict[tuple[str, str], MemoryRow] = {}
    for row in sorted(memory, key=lambda row: row.key):
        last[row.network, row.recipe] = row
    for row in last.values():
        name = f"`{row.recipe}`: peak memory with {row.images:,} photographs"
        found = None if row.peak_mib is None else row.peak_mib * MB_PER_MIB
        yield Goal(name, row.network, found, MEMORY_MB, "MB", "", False, 0)
