"""Recipes as data: the built-in ones beside this file, and the user's own, read strictly."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path

from depthdeploy.core.recipe import Recipe, Setting, Step
from depthdeploy.errors import UsageError
from depthdeploy.quantization.algorithms import PREPARATIONS, REFINEMENTS, Algorithm

_FOLDER = Path(__file__).parent
_SUFFIX = ".toml"
_KEYS = ("summary", "source", "images", "observer", "weight_bits", "prepare", "refine")


def names() -> tuple[str, ...]:
    """The built-in recipes, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}")))


def load_recipe(name: str) -> Recipe:
    """A built-in recipe by its name, or a user's own by its path, which ends in ``.toml``.

    The names of algorithms are checked; their settings are when :mod:`depthdeploy.quantization.algorithms` makes them.

    Raises:
        UsageError: there is no such recipe or file, the file is not TOML, or it has an unknown key, algorithm or value;
            the message names file and key and says what is allowed.
    """
    path = _path(name)
    try:
        raw = tomllib.loads(_text(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path} is not TOML: {cause}.", "Correct the file.") from cause
    return _recipe(raw, path)


def recipe_text(name: str) -> str:
    """The TOML of a recipe, to copy and change.

    Raises:
        UsageError: there is no such recipe, or it cannot be read.
    """
    return _text(_path(name))


def _path(name: str) -> Path:
    if name.endswith(_SUFFIX):
        return Path(name)
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=2, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"There is no recipe {name!r}.",
            f"{hint}There are {', '.join(names())}; a recipe of your own is a file whose name ends in .toml.",
        )
    return _FOLDER / f"{name}{_SUFFIX}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as cause:
        raise UsageError(f"The recipe {path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause


def _wrong(path: Path, key: str, allowed: str, found: object) -> UsageError:
    return UsageError(f"{path}: {key}: expected {allowed}, found {found}.", "See `depthdeploy recipes show fast`.")


def _recipe(raw: Mapping[str, object], path: Path) -> Recipe:
    for key in raw:
        if key not in _KEYS:
            raise _wrong(path, key, f"one of {', '.join(_KEYS)}", "an unknown key")
    bits = _number(raw, "weight_bits", path, 2, 8) if "weight_bits" in raw else None
    return Recipe(
        name=path.stem if path.parent == _FOLDER else path.name,
        summary=_line(raw, "summary", path),
        prepare=_steps(raw, "prepare", path, PREPARATIONS, REFINEMENTS),
        observer=_line(raw, "observer", path),
        refine=_steps(raw, "refine", path, REFINEMENTS, PREPARATIONS),
        images=_number(raw, "images", path, 1, 1_000_000) if "images" in raw else 1,
        weight_bits=bits,
        source=_line(raw, "source", path) if "source" in raw else "",
    )


def _line(raw: Mapping[str, object], key: str, path: Path) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise _wrong(path, key, "one line of text", "nothing" if key not in raw else repr(value))
    return value


def _number(raw: Mapping[str, object], key: str, path: Path, least: int, most: int) -> int:
    value = raw[key]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(path, key, f"a whole number from {least} to {most}", repr(value))
    return value


def _steps(
    raw: Mapping[str, object],
    key: str,
    path: Path,
    known: Mapping[str, Algorithm],
    others: Mapping[str, Algorithm],
) -> tuple[Step, ...]:
    listed = raw.get(key, [])
    if not isinstance(listed, list):
        raise _wrong(path, key, f"tables that begin with [[{key}]]", repr(listed))
    steps = []
    for index, table in enumerate(listed):
        where = f"{key}[{index}]"
        if not isinstance(table, dict):
            raise _wrong(path, where, f"a table that begins with [[{key}]]", repr(table))
        name = table.get("algorithm")
        if isinstance(name, str) and name in others:
            other = "refine" if key == "prepare" else "prepare"
            raise _wrong(
                path, f"{where}.algorithm", f"one of {', '.join(known)}", f"{name!r}, which is for [[{other}]]"
            )
        if not isinstance(name, str) or name not in known:
            raise _wrong(path, f"{where}.algorithm", f"one of {', '.join(known)}", repr(name) if name else "nothing")
        settings = {
            setting: _setting(value, path, f"{where}.{setting}")
            for setting, value in table.items()
            if setting != "algorithm"
        }
        steps.append(Step(name, settings))
    return tuple(steps)


def _setting(value: object, path: Path, where: str) -> Setting:
    if isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, list) and all(isinstance(item, (str, int, float, bool)) for item in value):
        return tuple(value)
    raise _wrong(path, where, "a text, a number, true, false or a list of them", repr(value))
