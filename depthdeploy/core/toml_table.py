"""A TOML table that is read strictly: every mistake is named with file, key, expected and found."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar

from depthdeploy.errors import PluginError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


def read_toml(path: Path) -> Table:
    """The top table of a plug-in's file.

    Raises:
        PluginError: the file is missing or is not TOML.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise PluginError(f"{path} cannot be read: {cause.strerror or cause}.", "Reinstall the plug-in.") from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise PluginError(f"{path} is not TOML: {cause}.", "Report it to the plug-in's author.") from cause
    return Table(raw, path, "")


class Table:
    """A TOML table whose keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, raw: object, path: Path, where: str) -> None:
        self.path = path
        self.where = where
        if not isinstance(raw, dict):
            raise self.error("", "a table", repr(raw))
        self._raw = dict(raw)
        self._taken: list[str] = []

    def error(self, key: str, expected: str, found: str) -> PluginError:
        """The fault of one key, for raising."""
        where = f"{self.where}.{key}".strip(".") or "the file"
        return PluginError(f"{self.path}: {where}: expected {expected}, found {found}.", "Correct the file.")

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """A key's value, of one kind; a key without a default must be there."""
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
        """Whether a key is there and not taken yet."""
        return key in self._raw

    def number(self, key: str) -> float:
        """A number that must be there."""
        value = self.take(key, object)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "a number", repr(value))
        return float(value)

    def optional_int(self, key: str) -> int | None:
        """A whole number, or ``None`` where nothing is said."""
        return self.take(key, int) if key in self._raw else None

    def texts(self, key: str, *, default: list[object] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        values: list[object] = self.take(key, list, default)
        if any(not isinstance(value, str) for value in values):
            raise self.error(key, "a list of strings", repr(values))
        return tuple(str(value) for value in values)

    def table(self, key: str) -> Table:
        """A table inside this one."""
        return Table(self.take(key, dict), self.path, f"{self.where}.{key}".strip("."))

    def tables(self, key: str, read: Callable[[Table, str], T]) -> dict[str, T]:
        """Every table inside the table of that name."""
        table = self.table(key)
        return {
            name: read(Table(table._raw[name], self.path, f"{table.where}.{name}"), name) for name in list(table._raw)
        }

    def rest(self) -> Mapping[str, object]:
        """What has not been taken, unread."""
        rest, self._raw = self._raw, {}
        return rest

    def list_of(self, key: str, read: Callable[[Table], T]) -> tuple[T, ...]:
        """Every table of a list, which may be absent."""
        listed: list[object] = self.take(key, list, [])
        return tuple(read(Table(raw, self.path, f"{self.where}.{key}[{n}]".strip("."))) for n, raw in enumerate(listed))

    def choice(self, key: str, kind: type[E], default: E) -> E:
        """A member of an enumeration by its value, or the default where nothing is said."""
        value = self.take(key, str, str(default.value))
        known = {str(member.value): member for member in kind}
        if value not in known:
            raise self.error(key, f"one of {', '.join(known)}", repr(value))
        return known[value]

    def end(self) -> None:
        """Nothing may be left.

        Raises:
            PluginError: a key is unknown.
        """
        for key in self._raw:
            raise self.error(key, f"one of {', '.join(sorted(set(self._taken)))}", "an unknown key")
