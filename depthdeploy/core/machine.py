"""The processor of this machine: which integer instructions it has decides which artifact it should run."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from depthdeploy.core.target import Capabilities, Variant
from depthdeploy.errors import UsageError

_CPUINFO = Path("/proc/cpuinfo")


@cache
def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor; empty where the system has no ``/proc/cpuinfo``."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in lines}


def cpu_flags() -> frozenset[str]:
    """The processor's features as Linux names them (``avx512_vnni``); empty where the system does not tell."""
    fields = _cpuinfo()
    return frozenset((fields.get("flags") or fields.get("features") or "").split())


def cpu_name() -> str:
    """The processor's name, such as ``AMD EPYC``; its architecture where the system does not tell."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def runs_here(capabilities: Capabilities, variant: str) -> bool:
    """Whether this machine can run an artifact of a variant as it was made to be run.

    A variant that needs a device besides the processor does not: no device is looked for.

    Raises:
        UsageError: the target has no such variant.
    """
    if variant not in capabilities.variants:
        raise UsageError(
            f"{capabilities.title} has no variant {variant!r}.", f"Choose of {', '.join(capabilities.variants)}."
        )
    chosen = capabilities.variants[variant]
    return capabilities.runs_here and not chosen.device and _suits(chosen, cpu_flags())


def _suits(variant: Variant, flags: frozenset[str]) -> bool:
    return not variant.cpu_flags or not flags.isdisjoint(variant.cpu_flags)


def variant_for_this_cpu(capabilities: Capabilities) -> str:
    """The first variant, in the order of ``capabilities.toml``, that this processor suits.

    Raises:
        UsageError: the system does not tell its processor's features, or no variant suits it.
    """
    flags = cpu_flags()
    choices = " or ".join(f"--target {capabilities.target}:{name}" for name in capabilities.variants)
    if not flags:
        raise UsageError(
            f"This system does not tell which instructions its processor has ({cpu_name()}).", f"Say {choices}."
        )
    for variant in capabilities.variants.values():
        if not variant.device and _suits(variant, flags):
            return variant.name
    raise UsageError(f"No variant of {capabilities.title} suits this processor ({cpu_name()}).", f"Say {choices}.")
