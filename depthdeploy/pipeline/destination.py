"""Where a network goes: a target, one of its variants and a precision, checked before anything runs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from depthdeploy import registry
from depthdeploy.core.request import CompileRequest, split_argument
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.target import Target, Variant
from depthdeploy.errors import PluginError, UsageError


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


def _nearest(name: str, known: list[str], *, there: list[str] | None = None) -> str:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}There are {', '.join(there or known)}."


def _chips() -> dict[str, list[tuple[str, str]]]:
    """Name or alias of a variant -> the targets that have it, each with the variant's own name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for target in registry.targets:
        try:
            variants = registry.targets[target].capabilities.variants
        except PluginError:  # a stranger's plug-in that does not load hides no chip of the others
            continue
        for variant in variants.values():
            for name in (variant.name, *variant.aliases):
                found.setdefault(name, []).append((target, variant.name))
    return found


def _lone_name(name: str) -> tuple[str, str]:
    """Target and variant of a name without a colon that is no target's.

    Raises:
        UsageError: no variant has the name, or those of several targets do.
    """
    chips = _chips()
    owners = chips.get(name, [])
    if len(owners) == 1:
        return owners[0]
    if owners:
        choices = " or ".join(f"--target {target}:{variant}" for target, variant in owners)
        raise UsageError(f"{len(owners)} targets have a variant {name!r}.", f"Say {choices}.")
    raise UsageError(
        f"There is no target {name!r}.", _nearest(name, [*registry.targets, *chips], there=[*registry.targets])
    )


def _resolve_one(spec: str, precision: str) -> Destination:
    name, wanted = split_argument(spec)
    if not wanted and name not in registry.targets:
        name, wanted = _lone_name(name)
    target = registry.targets[name]
    able = target.capabilities
    chosen = able.variant_named(wanted) if wanted else target.default_variant()
    if chosen is None:
        raise UsageError(f"{name} has no variant {wanted!r}.", _nearest(wanted, list(able.variants)))
    variant = able.variants[chosen]
    kept = precision or variant.precisions[0]
    if kept not in variant.precisions:
        raise UsageError(f"{name}:{chosen} has no precision {kept!r}.", _nearest(kept, list(variant.precisions)))
    return Destination(target, variant, kept)


def resolve(request: CompileRequest) -> tuple[Destination, ...]:
    """The destinations of a request, in its order.

    A target is named as ``rknn``, ``rknn:rk3588``, or by a variant's name or alias alone where one target has it:
    ``rk3588``. Names are taken letter by letter.

    Raises:
        UsageError: an unknown target, variant or precision, or the same destination twice; near names are suggested.
    """
    found = tuple(_resolve_one(spec, request.precision) for spec in request.targets)
    names = [str(goal) for goal in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is asked for twice.", "Name each target and variant once.")
    return found
