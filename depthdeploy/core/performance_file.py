"""``performance.toml`` as values: read strictly, so that a misspelt key is found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from depthdeploy.core.performance import (
    Constants,
    OperatorClass,
    Peak,
    Performance,
    Residence,
    SlowRule,
    Sourced,
)
from depthdeploy.core.toml_table import Table, read_toml


def load_performance(path: Path) -> Mapping[str, Performance]:
    """Variant -> how fast it is, from a target's ``performance.toml``.

    Raises:
        PluginError: the file is missing, is not TOML, or has an unknown key, a missing key or a value of the wrong
            kind; the message names file, key, what was expected and what was found.
    """
    table = read_toml(path)
    target = table.take("target", str)
    constants = table.tables("constants", _constants)
    read = table.tables("variants", partial(_variant, target=target, constants=constants))
    table.end()
    return read


def _constants(table: Table, family: str) -> Constants:
    read = Constants(
        family=family,
        efficiency=_by_class(table, "efficiency", complete=True, low=0.0),
        memory_efficiency=_positive(table, "memory_efficiency"),
        overhead_ms=_at_least(table, "overhead_ms", 0.0),
        layer_overhead_us=_at_least(table, "layer_overhead_us", 0.0),
        error=_at_least(table, "error", 1.0),
        borrowed=_by_class(table, "borrowed", complete=False, low=1.0),
        calibrated_on=table.take("calibrated_on", str),
    )
    table.end()
    return read


def _variant(table: Table, name: str, *, target: str, constants: Mapping[str, Constants]) -> Performance:
    family = table.take("family", str)
    if family not in constants:
        raise table.error("family", f"one of {', '.join(constants)}", repr(family))
    one = Sourced(1.0, "nothing known", uncertain=False)
    read = Performance(
        target=target,
        variant=name,
        title=table.take("title", str),
        predicts=table.take("predicts", str, "latency"),
        peaks=table.tables("peaks", _peak),
        bandwidth_gb_per_s=_sourced(table, "bandwidth_gb_per_s"),
        on_chip_mib=_sourced(table, "on_chip_mib", low=None),
        constants=constants[family],
        fused=frozenset(table.texts("fused")),
        granule=_sourced(table, "granule") if table.has("granule") else one,
        in_use=_sourced(table, "in_use") if table.has("in_use") else one,
        pipelined=table.take("pipelined", bool, default=False),
        residence=_residence(table.table("residence")) if table.has("residence") else None,
        rules=table.list_of("rules", _rule),
        doubt=_at_least(table, "doubt", 1.0) if table.has("doubt") else 1.0,
    )
    table.end()
    return read


def _peak(table: Table, _name: str) -> Peak:
    read = Peak(_sourced(table, "tops"), table.take("activation_bytes", int), table.take("weight_bytes", int))
    table.end()
    return read


def _residence(table: Table) -> Residence:
    read = Residence(_sourced(table, "mib"), _sourced(table, "layers"), _sourced(table, "reload_us_per_layer"))
    table.end()
    return read


def _rule(table: Table) -> SlowRule:
    read = SlowRule(
        operator=table.take("operator", str),
        attributes=_conditions(table.table("attributes")),
        efficiency=_positive(table, "efficiency"),
        reason=table.take("reason", str),
        source=table.take("source", str),
        uncertain=table.take("uncertain", bool, default=False),
    )
    table.end()
    return read


def _conditions(table: Table) -> Mapping[str, tuple[str, ...]]:
    listed = table.rest()
    for key, values in listed.items():
        if not isinstance(values, list) or not values or any(not isinstance(value, str) for value in values):
            raise table.error(key, "a list of accepted values", repr(values))
    return {key: tuple(str(value) for value in values) for key, values in listed.items() if isinstance(values, list)}


def _sourced(table: Table, key: str, *, low: float | None = 0.0) -> Sourced:
    """A number above ``low``; from 0 on where ``low`` is ``None``."""
    inner = table.table(key)
    value = _at_least(inner, "value", 0.0) if low is None else _positive(inner, "value")
    read = Sourced(value, inner.take("source", str), inner.take("uncertain", bool, default=False))
    inner.end()
    return read


def _by_class(table: Table, key: str, *, complete: bool, low: float) -> Mapping[OperatorClass, float]:
    inner = table.table(key)
    read: dict[OperatorClass, float] = {
        kind: _positive(inner, kind.value) if low == 0.0 else _at_least(inner, kind.value, low)
        for kind in OperatorClass
        if kind is not OperatorClass.MOVE and (complete or inner.has(kind.value))
    }
    inner.end()
    return read


def _positive(table: Table, key: str) -> float:
    value = table.number(key)
    if not value > 0.0:
        raise table.error(key, "a number above 0", repr(value))
    return value


def _at_least(table: Table, key: str, low: float) -> float:
    value = table.number(key)
    if not value >= low:
        raise table.error(key, f"a number from {low:g} on", repr(value))
    return value
