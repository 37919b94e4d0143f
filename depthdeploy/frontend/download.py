"""Files from the network: resumed, checked while they are read, and whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Protocol, cast

from depthdeploy.core.progress import Progress, silent
from depthdeploy.errors import ModelError, StorageError

_BLOCK = 1 << 18
_TIMEOUT = 30.0
#: Seconds before the second, third and fourth try.
_PAUSES = (0.5, 1.0, 2.0)
#: Server answers that a later try may change (RFC 9110: timeout, too many requests, and errors of the server).
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_UNSATISFIABLE = 416
_PARTIAL = 206


class Downloader(Protocol):
    """Fetches a file; :func:`download` is the one that is used."""

    def __call__(self, url: str, path: Path, *, sha256: str, progress: Progress) -> str:
        """Put the file at ``url`` at ``path`` and give the digest of its bytes."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps what the first server says about the file behind them.

    The Hugging Face hub states the SHA-256 of a large file in ``X-Linked-ETag`` of the redirect to its storage.
    """

    def __init__(self) -> None:
        self.declared = ""

    def redirect_request(  # noqa: PLR0917 - the signature is the standard library's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The next request; never from an encrypted connection to a plain one."""
        self.declared = self.declared or _declared(headers)
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(f"it is redirected to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(slots=True)
class _Part:
    """The file under its temporary name, with the digest of the bytes in it."""

    path: Path
    done: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def reopen(self) -> None:
        """Take up what an earlier try has left."""
        self.done, self.digest = 0, hashlib.sha256()
        if self.path.is_file():
            with self.path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    self.digest.update(block)
                    self.done += len(block)

    def drop(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
        self.done, self.digest = 0, hashlib.sha256()

    def append(self, block: bytes, stream: IO[bytes]) -> None:
        """Write and count a block."""
        stream.write(block)
        self.digest.update(block)
        self.done += len(block)


def download(
    url: str,
    path: Path,
    *,
    sha256: str = "",
    progress: Progress = silent,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Fetch a file into ``path``, which appears whole or not at all; what was read before an interruption is kept.

    Args:
        url: where it lies, ``http`` or ``https``.
        path: where it goes; ``path`` with ``.part`` added grows meanwhile.
        sha256: its digest or the first digits of it; when empty, the digest that the server declares is taken.
        progress: called with the bytes that are there and those that there will be.
        pause: waits before another try.

    Returns:
        The SHA-256 of the file.

    Raises:
        ModelError: it cannot be fetched, or its digest is another one.
        StorageError: it cannot be stored.
    """
    if not url.startswith(("http://", "https://")):
        raise ModelError(f"{url} is not an address on the web.", "Correct the model's card.")
    part = _Part(path.with_name(f"{path.name}.part"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        expected = _fetched(url, part, path, sha256=sha256, progress=progress, pause=pause)
        found = part.digest.hexdigest()
        if not found.startswith(expected):
            part.drop()
            raise ModelError(
                f"{url} gave a file with SHA-256 {found}, and {expected} was expected: it is damaged or another one.",
                f"Try again, or put the right file at {path}.",
            )
        part.path.replace(path)
    except OSError as cause:
        raise _unstored(cause, path) from cause
    return found


def _fetched(
    url: str, part: _Part, path: Path, *, sha256: str, progress: Progress, pause: Callable[[float], None]
) -> str:
    """Fill the part, in several tries; the digest that it must have, empty when none is known."""
    for seconds in (*_PAUSES, None):
        part.reopen()
        try:
            return _try(url, part, sha256, progress)
        except urllib.error.HTTPError as cause:
            cause.close()
            if cause.code == _UNSATISFIABLE:  # the part is no beginning of this file
                part.drop()
            elif cause.code not in _PASSING or seconds is None:
                raise _unfetched(url, path, f"the server answers {cause.code} {cause.reason}") from cause
        except (OSError, HTTPException) as cause:
            if seconds is None:
                raise _unfetched(url, path, str(getattr(cause, "reason", cause)) or type(cause).__name__) from cause
        if seconds is not None:
            pause(seconds)
    raise _unfetched(url, path, "the server refuses the range that it offered")


def _try(url: str, part: _Part, sha256: str, progress: Progress) -> str:
    """One request, from where the part ends to the file's end."""
    request = urllib.request.Request(url, headers={"User-Agent": "depthdeploy"})
    if part.done:
        request.add_header("Range", f"bytes={part.done}-")
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    with cast("HTTPResponse", opener.open(request, timeout=_TIMEOUT)) as response:
        expected = sha256 or redirects.declared or _declared(response.headers)
        if part.done and not _continues(response, part.done):
            part.drop()
        elif part.done and not expected:  # the file may have changed meanwhile, and nothing would tell
            part.drop()
            raise ConnectionError("what is there cannot be continued")
        length = response.headers.get("Content-Length")
        total = part.done + int(length) if length else 0
        _copy(response, part, total, progress)
    if part.done < total:  # the connection was closed early: http.client does not say so
        raise ConnectionError(f"the connection ended after {part.done} of {total} bytes")
    return expected


def _copy(response: HTTPResponse, part: _Part, total: int, progress: Progress) -> None:
    try:
        stream = part.path.open("ab")
    except OSError as cause:
        raise _unstored(cause, part.path) from cause
    with stream:
        progress(part.done, total)
        while block := response.read(_BLOCK):
            try:
                part.append(block, stream)
            except OSError as cause:
                raise _unstored(cause, part.path) from cause
            progress(part.done, total)


def _continues(response: HTTPResponse, start: int) -> bool:
    given = response.headers.get("Content-Range") or ""
    return response.status == _PARTIAL and given.startswith(f"bytes {start}-")


def _declared(headers: HTTPMessage) -> str:
    match = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', headers.get("X-Linked-ETag") or "")
    return match[1] if match else ""


def _unfetched(url: str, path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path.name} cannot be downloaded from {url}: {why}.",
        f"Download it elsewhere and put it at {path}, or give it with --weights.",
    )


def _unstored(cause: OSError, path: Path) -> StorageError:
    full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
    why = "the disk is full" if full else cause.strerror or os.fspath(path)
    return StorageError(f"{path} cannot be written: {why}.", "Free some space, or choose another place with --cache.")
