"""What a quantization recipe says: which algorithms run, in which order, with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: A setting of an algorithm, as TOML holds it; a list is kept as a tuple.
Setting = str | int | float | bool | tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One algorithm of a recipe.

    Attributes:
        algorithm: its name, ``equalize`` or ``adaround``.
        settings: its own; what is not named keeps the algorithm's default.
    """

    algorithm: str
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in sorted(self.settings.items()))
        return f"{self.algorithm}({inside})" if inside else self.algorithm


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is quantized.

    Attributes:
        name: on the command line and in reports.
        summary: one sentence for tables.
        prepare: algorithms on the float graph, before anything is observed; each keeps the graph's function.
        observer: how activation ranges are chosen, ``mse`` or ``percentile:99.99``.
        refine: algorithms on the plan and the constants, after it.
        images: the fewest calibration photographs that the recipe is meant for.
        weight_bits: bits of the weights when fewer than the target's; ``None`` for the target's own.
        source: the study or paper that a recipe reproduces; empty for our own.
    """

    name: str
    summary: str
    prepare: tuple[Step, ...] = ()
    observer: str = "percentile"
    refine: tuple[Step, ...] = ()
    images: int = 1
    weight_bits: int | None = None
    source: str = ""
