"""Results of stages, stored under the digest of everything they depend on.

An entry is a folder that appears whole or not at all: it is filled under a temporary name and then renamed. A crash or
Ctrl-C leaves finished entries behind, and the next run takes them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cattrs

from depthdeploy.core.digest import digest_of
from depthdeploy.errors import StorageError

T = TypeVar("T")

_RESULT = "result.json"
_ROOT_MARK = "@store/"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of ``depthdeploy cache list``."""

    stage: str
    key: str
    bytes: int
    modified: float


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _refused(cause: OSError, root: Path) -> StorageError:
    if cause.errno in _FULL:
        return StorageError(
            f"No space is left for results in {root}.",
            "Free some, remove old results with `depthdeploy cache clear`, or choose another place with --cache.",
        )
    return StorageError(
        f"Results cannot be stored in {root}: {cause.strerror or cause}.", "Choose another with --cache."
    )


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _RESULT)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(files)}


class Store:
    """A folder of results.

    Args:
        root: created when the first result is stored.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def take(self, stage: str, depends: object, kind: type[T], make: Callable[[Path], T]) -> tuple[T, bool]:
        """The stored result of a stage, or the one that ``make`` computes and that is then stored.

        Args:
            stage: the stage's name, a folder of the store.
            depends: everything that the result depends on; its digest is the key.
            kind: the frozen type of the result.
            make: computes the result and writes its files into the folder it is given.

        Returns:
            The result, its paths inside the store, and whether it was already there.

        Raises:
            StorageError: the disk is full or the store cannot be written.
        """
        folder = self.root / stage / digest_of(depends)[:32]
        if self._complete(folder):
            return self._load(folder, kind), True
        with self._filling(folder) as temporary:
            self._write(temporary, make(temporary), final=folder)
        return self._load(folder, kind), False

    def entries(self) -> list[Entry]:
        """Every stored result."""
        found = []
        for result in sorted(self.root.glob(f"*/*/{_RESULT}")):
            folder = result.parent
            size = sum(_sizes(folder).values()) + result.stat().st_size
            found.append(Entry(folder.parent.name, folder.name, size, result.stat().st_mtime))
        return found

    def clear(self) -> int:
        """Remove every stored result; the bytes that were freed. Downloaded weights lie elsewhere and stay."""
        freed = 0
        for entry in self.entries():
            shutil.rmtree(self.root / entry.stage / entry.key)
            freed += entry.bytes
        return freed

    def _complete(self, folder: Path) -> bool:
        """Whether an entry is there and its files have the sizes they were stored with."""
        try:
            stored = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(stored["files"] == _sizes(folder))

    @contextlib.contextmanager
    def _filling(self, folder: Path) -> Iterator[Path]:
        """A temporary folder that becomes ``folder`` when the block ends well, and vanishes otherwise."""
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".filling-", dir=folder.parent))
        except OSError as cause:
            raise _refused(cause, self.root) from cause
        try:
            yield temporary
        except OSError as cause:
            shutil.rmtree(temporary, ignore_errors=True)
            if cause.errno in _FULL:
                raise _refused(cause, self.root) from cause
            raise
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        try:
            if folder.exists():  # an incomplete entry, or another process was faster with the same bytes
                shutil.rmtree(folder)
            temporary.rename(folder)
        except OSError as cause:
            shutil.rmtree(temporary, ignore_errors=True)
            raise _refused(cause, self.root) from cause

    def _write(self, temporary: Path, result: object, *, final: Path) -> None:
        converter = cattrs.Converter()

        def stored(path: Path) -> str:
            absolute = path.absolute()
            if absolute.is_relative_to(temporary):
                absolute = final / absolute.relative_to(temporary)
            if absolute.is_relative_to(self.root):
                return _ROOT_MARK + absolute.relative_to(self.root).as_posix()
            return str(absolute)

        converter.register_unstructure_hook(Path, stored)
        text = json.dumps({"files": _sizes(temporary), "result": converter.unstructure(result)}, indent=1)
        with (temporary / _RESULT).open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())

    def _load(self, folder: Path, kind: type[T]) -> T:
        converter = cattrs.Converter()

        def read(value: str, _: type[Path]) -> Path:
            return self.root / value.removeprefix(_ROOT_MARK) if value.startswith(_ROOT_MARK) else Path(value)

        converter.register_structure_hook(Path, read)
        stored = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
        return converter.structure(stored["result"], kind)
