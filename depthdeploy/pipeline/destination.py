"""Where a network goes: a target, one of its variants and a precision, checked before anything runs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from depthdeploy import registry
from depthdeploy.core.request import CompileRequest, split_argument
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.target import Target, Variant
from depthdeploy.errors import UsageError


@dataclass(frozen=True, slots=True)
class Destination:
    """One target of a run.

    Attributes:
        target: its light half.
        variant: the chip or instruction set.
        precision: ``int8``, ``fp16`` or ``fp32``.
    """

    target: Target
    variant: Variant
    precision: str

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.capabilities.target

    @property
    def scheme(self) -> Scheme | None:
        """The number formats; ``None`` at float precision."""
        return self.variant.schemes.get(self.precision)

    def __str__(self) -> str:
        return f"{self.name}:{self.variant.name} {self.precision}"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}There are {', '.join(known)}."


def _resolve_one(spec: str, precision: str) -> Destination:
    name, wanted = split_argument(spec)
    target = registry.targets[name]
    able = target.capabilities
    chosen = wanted or target.default_variant()
    if chosen not in able.variants:
        raise UsageError(f"{name} has no variant {chosen!r}.", _nearest(chosen, list(able.variants)))
    variant = able.variants[chosen]
    kept = precision or variant.precisions[0]
    if kept not in variant.precisions:
        raise UsageError(f"{name}:{chosen} has no precision {kept!r}.", _nearest(kept, list(variant.precisions)))
    return Destination(target, variant, kept)


def resolve(request: CompileRequest) -> tuple[Destination, ...]:
    """The destinations of a request, in its order.

    Raises:
        UsageError: an unknown target, variant or precision, or the same destination twice; near names are suggested.
    """
    found = tuple(_resolve_one(spec, request.precision) for spec in request.targets)
    names = [str(goal) for goal in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is asked for twice.", "Name each target and variant once.")
    return found
