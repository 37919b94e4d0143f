"""``capabilities.toml`` as a value: read strictly, so that a misspelt key is found by its name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.scheme import Escape, Scheme
from depthdeploy.core.target import Capabilities, OpRule, Variant
from depthdeploy.errors import PluginError

T = TypeVar("T")

#: The oldest opset whose ``QuantizeLinear`` and ``DequantizeLinear`` know 16-bit integers.
WIDE_OPSET = 21


def load_capabilities(path: Path) -> Capabilities:
    """What a target can do, from its ``capabilities.toml``.

    Raises:
        PluginError: the file is missing, is not TOML, or has an unknown key, a missing key or a value of the wrong
            kind; the message names file, key, what was expected and what was found.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise PluginError(f"{path} cannot be read: {cause.strerror or cause}.", "Reinstall the plug-in.") from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise PluginError(f"{path} is not TOML: {cause}.", "Report it to the plug-in's author.") from cause
    return _capabilities(_Table(raw, path, ""))


class _Table:
    """A TOML table whose keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, raw: object, path: Path, where: str) -> None:
        self.path = path
        self.where = where
        if not isinstance(raw, dict):
            raise self.error("", "a table", repr(raw))
        self._raw = dict(raw)
        self._taken: list[str] = []

    def error(self, key: str, expected: str, found: str) -> PluginError:
        where = f"{self.where}.{key}".strip(".") or "the file"
        return PluginError(f"{self.path}: {where}: expected {expected}, found {found}.", "Correct the file.")

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        self._taken.append(key)
        if key not in self._raw:
            if default is None:
                raise self.error(key, kind.__name__, "nothing")
            return default
        value = self._raw.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, kind.__name__, repr(value))
        return value

    def has(self, key: str) -> bool:
        return key in self._raw

    def number(self, key: str) -> float:
        value = self.take(key, object)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "a number", repr(value))
        return float(value)

    def optional_int(self, key: str) -> int | None:
        return self.take(key, int) if key in self._raw else None

    def texts(self, key: str, *, default: list[object] | None = None) -> tuple[str, ...]:
        values: list[object] = self.take(key, list, default)
        if any(not isinstance(value, str) for value in values):
            raise self.error(key, "a list of strings", repr(values))
        return tuple(str(value) for value in values)

    def table(self, key: str) -> _Table:
        return _Table(self.take(key, dict), self.path, f"{self.where}.{key}".strip("."))

    def tables(self, key: str, read: Callable[[_Table, str], T]) -> dict[str, T]:
        table = self.table(key)
        return {
            name: read(_Table(table._raw[name], self.path, f"{table.where}.{name}"), name) for name in list(table._raw)
        }

    def rest(self) -> Mapping[str, object]:
        rest, self._raw = self._raw, {}
        return rest

    def end(self) -> None:
        for key in self._raw:
            raise self.error(key, f"one of {', '.join(sorted(set(self._taken)))}", "an unknown key")


def _capabilities(table: _Table) -> Capabilities:
    schemes = table.tables("schemes", _scheme)
    opset: list[object] = table.take("opset", list)
    if len(opset) != 2 or any(not isinstance(version, int) for version in opset):
        raise table.error("opset", "the oldest and the newest version", repr(opset))
    oldest, newest = (int(str(version)) for version in opset)
    if newest < WIDE_OPSET:
        for name, scheme in schemes.items():
            if any(escape.activations and escape.activations.container == 16 for escape in scheme.escapes):
                raise table.error("opset", f"{WIDE_OPSET}, as the 16-bit escape of scheme {name} needs", f"{newest}")
    read = Capabilities(
        target=table.take("target", str),
        title=table.take("title", str),
        variants=table.tables("variants", lambda inner, name: _variant(inner, name, schemes)),
        operators=_operators(table),
        opset=(oldest, newest),
        artifact=table.take("artifact", str),
        driver=table.take("driver", str),
        sdk=table.take("sdk", str),
        runs_here=table.take("runs_here", bool),
        install=table.take("install", str),
    )
    table.end()
    return read


def _format(table: _Table) -> NumberFormat:
    granularity = table.take("granularity", str)
    if granularity not in {choice.value for choice in Granularity}:
        raise table.error("granularity", "tensor or channel", repr(granularity))
    try:
        read = NumberFormat(
            bits=table.take("bits", int),
            signed=table.take("signed", bool),
            symmetric=table.take("symmetric", bool),
            granularity=Granularity(granularity),
            container=table.take("container", int, 8),
        )
    except ValueError as cause:
        raise table.error("", "a number format", str(cause)) from cause
    table.end()
    return read


def _scheme(table: _Table, name: str) -> Scheme:
    scheme = Scheme(
        name=name,
        weights=_format(table.table("weights")),
        activations=_format(table.table("activations")),
        operators=frozenset(table.texts("operators")),
        quantize_output=table.take("quantize_output", bool),
        source=table.take("source", str),
        escapes=_escapes(table),
    )
    table.end()
    return scheme


def _escapes(table: _Table) -> tuple[Escape, ...]:
    listed: list[object] = table.take("escapes", list, [])
    found = [_escape(_Table(raw, table.path, f"{table.where}.escapes[{index}]")) for index, raw in enumerate(listed)]
    if len({escape.name for escape in found}) < len(found):
        raise table.error("escapes", "every name once", repr([escape.name for escape in found]))
    return tuple(sorted(found, key=lambda escape: escape.cost))


def _escape(table: _Table) -> Escape:
    name, source = table.take("name", str), table.take("source", str)
    cost = table.number("cost")
    wide = _format(table.table("activations")) if table.has("activations") else None
    if wide is not None and wide.granularity is not Granularity.TENSOR:
        raise table.error("activations.granularity", "tensor", repr(wide.granularity.value))
    try:
        read = Escape(name, wide, cost, source)
    except ValueError as cause:
        raise table.error("cost", "a number above 1", repr(cost)) from cause
    table.end()
    return read


def _variant(table: _Table, name: str, schemes: Mapping[str, Scheme]) -> Variant:
    precisions = table.texts("precisions")
    chosen: dict[str, Scheme] = {}
    for precision, scheme in table.table("schemes").rest().items():
        if scheme not in schemes or precision not in precisions:
            raise table.error(
                f"schemes.{precision}", f"a precision of {precisions}, a scheme of {[*schemes]}", repr(scheme)
            )
        chosen[precision] = schemes[str(scheme)]
    if not precisions:
        raise table.error("precisions", "at least one", repr(precisions))
    variant = Variant(name, table.take("title", str), chosen, precisions, table.texts("cpu_flags", default=[]))
    table.end()
    return variant


def _operators(table: _Table) -> dict[str, OpRule]:
    rules: dict[str, OpRule] = {}
    groups: list[object] = table.take("operators", list)
    for index, raw in enumerate(groups):
        group = _Table(raw, table.path, f"operators[{index}]")
        names = group.texts("names")
        attributes = {key: _accepted(group, key, value) for key, value in group.take("attributes", dict, {}).items()}
        max_rank = group.optional_int("max_rank")
        remedy, source = group.take("remedy", str), group.take("source", str)
        group.end()
        for name in names:
            if name in rules:
                raise group.error("names", "every operator once", repr(name))
            rules[name] = OpRule(name, remedy, source, attributes, max_rank)
    return rules


def _accepted(group: _Table, key: str, value: object) -> tuple[str | int | float, ...]:
    if not isinstance(value, list) or not value or any(not isinstance(item, (str, int, float)) for item in value):
        raise group.error(f"attributes.{key}", "a list of accepted values", repr(value))
    return tuple(value)
