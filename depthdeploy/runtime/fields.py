"""JSON objects read strictly: a missing, unknown or misplaced value is named with its file and key.

Runs inside vendor images: standard library alone, Python 3.8 and later.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TypeVar, Union

from depthdeploy.errors import ToolchainFailed

T = TypeVar("T")

#: What a driver can be told.
Setting = Union[str, int, float, bool]  # noqa: UP007  # evaluated at import, also by Python 3.8


class Fields:
    """A JSON object whose keys are taken one by one; what is left at the end is unknown.

    Args:
        path: the file.
        schema: the version that it must be of.

    Raises:
        ToolchainFailed: here and in every method: the file is not what was expected; key and value are named.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as cause:
            raise ToolchainFailed(f"{path} cannot be read: {cause}.", "Compile again.") from cause
        if not isinstance(raw, dict):
            raise self._error("", "an object", raw)
        self._raw = dict(raw)
        if self._raw.pop("schema", None) != schema:
            raise self._error("schema", schema, raw.get("schema"))

    def _error(self, key: str, expected: str, found: object) -> ToolchainFailed:
        return ToolchainFailed(f"{self._path}: {key or 'the file'}: expected {expected}, found {found!r}.")

    def _take(self, key: str, kind: type[T], expected: str) -> T:
        value = self._raw.pop(key, None)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._error(key, expected, value)
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        return self._take(key, bool, "true or false")

    def text(self, key: str) -> str:
        """Text."""
        return self._take(key, str, "text")

    def number(self, key: str) -> float:
        """A number with a decimal point."""
        return self._take(key, float, "a number")

    def _relative(self, key: str, text: str) -> str:
        path = PurePosixPath(text)
        if not text or path.is_absolute() or ".." in path.parts or "\\" in text:
            raise self._error(key, "a path inside the folder", text)
        return text

    def path(self, key: str) -> str:
        """A path inside the folder, relative, with slashes."""
        return self._relative(key, self.text(key))

    def _object(self, key: str) -> dict[str, object]:
        return self._take(key, dict, "an object")

    def texts(self, key: str) -> dict[str, str]:
        """An object of texts."""
        value = self._object(key)
        if any(not isinstance(item, str) for item in value.values()):
            raise self._error(key, "texts", value)
        return {name: str(item) for name, item in value.items()}

    def digests(self, key: str) -> dict[str, str]:
        """Relative path -> digest."""
        return {self._relative(key, name): text for name, text in self.texts(key).items()}

    def settings(self, key: str) -> dict[str, Setting]:
        """An object of texts, numbers and booleans."""
        found: dict[str, Setting] = {}
        for name, value in self._object(key).items():
            if not isinstance(value, (str, int, float, bool)):
                raise self._error(f"{key}.{name}", "text, a number, true or false", value)
            found[name] = value
        return found

    def tensor(self, key: str) -> tuple[str, str, tuple[int, ...]]:
        """Name, element type and shape, every dimension positive."""
        value = self._object(key)
        name, dtype, shape = value.get("name"), value.get("dtype"), value.get("shape")
        if set(value) != {"name", "dtype", "shape"} or not isinstance(name, str) or not isinstance(dtype, str):
            raise self._error(key, "name, dtype and shape", value)
        if not isinstance(shape, list) or any(not isinstance(size, int) or size <= 0 for size in shape):
            raise self._error(f"{key}.shape", "positive dimensions", shape)
        return name, dtype, tuple(shape)

    def end(self) -> None:
        """Refuse what was not taken."""
        for key in self._raw:
            raise self._error(key, "no such key", self._raw[key])
