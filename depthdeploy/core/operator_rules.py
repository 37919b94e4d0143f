"""The rules of operators in ``capabilities.toml``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

from depthdeploy.core.support import Accepted, Constraint, Effect, OpRule
from depthdeploy.core.toml_table import Table

#: Variant -> operator -> rule; the rules of every variant stand under the empty name.
Rules = Mapping[str, Mapping[str, OpRule]]


def read_rules(table: Table, variants: Collection[str]) -> Rules:
    """The groups of ``[[operators]]``. A group that names ``variants`` holds for those alone.

    Raises:
        PluginError: an operator has two rules, a variant is unknown, or a value is of the wrong kind.
    """
    read: dict[str, dict[str, OpRule]] = defaultdict(dict)
    for group, owners, rules in table.list_of("operators", lambda inner: _group(inner, variants)):
        for owner in owners:
            for rule in rules:
                if rule.operator in read[owner]:
                    raise group.error("names", "every operator once", repr(rule.operator))
                read[owner][rule.operator] = rule
    return read


def _group(group: Table, variants: Collection[str]) -> tuple[Table, tuple[str, ...], tuple[OpRule, ...]]:
    owners = group.texts("variants", default=[]) or ("",)
    unknown = [name for name in owners if name and name not in variants]
    if unknown:
        raise group.error("variants", f"some of {', '.join(variants)}", repr(unknown[0]))
    names = group.texts("names")
    shared = OpRule(
        operator="",
        remedy=group.take("remedy", str),
        source=group.take("source", str),
        attributes=_attributes(group, "attributes"),
        max_rank=group.optional_int("max_rank"),
        dtypes=group.texts("dtypes", default=[]),
        effect=group.choice("effect", Effect, Effect.REFUSE),
        constraints=group.list_of("constraints", _constraint),
        on_host=group.take("on_host", bool, default=False),
        uncertain=group.take("uncertain", bool, default=False),
    )
    group.end()
    return group, owners, tuple(replace(shared, operator=name) for name in names)


def _constraint(table: Table) -> Constraint:
    read = Constraint(
        check=table.take("check", str),
        when=_attributes(table, "when"),
        effect=table.choice("effect", Effect, Effect.REFUSE),
        remedy=table.take("remedy", str, ""),
        source=table.take("source", str, ""),
        uncertain=table.take("uncertain", bool, default=False),
        arguments={key: _argument(table, key, value) for key, value in table.rest().items()},
    )
    table.end()
    return read


def _attributes(table: Table, key: str) -> dict[str, tuple[Accepted, ...]]:
    return {name: _accepted(table, f"{key}.{name}", value) for name, value in table.take(key, dict, {}).items()}


def _accepted(table: Table, key: str, value: object) -> tuple[Accepted, ...]:
    if not isinstance(value, list) or not value or any(not isinstance(item, (str, int, float)) for item in value):
        raise table.error(key, "a list of accepted values", repr(value))
    return tuple(value)


def _argument(table: Table, key: str, value: object) -> Accepted | tuple[Accepted, ...]:
    if isinstance(value, (str, int, float)):
        return value
    return _accepted(table, key, value)
