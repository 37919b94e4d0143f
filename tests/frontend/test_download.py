"""Downloads, against a server on this machine."""

import errno
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import pytest

from depthdeploy.core.progress import Progress
from depthdeploy.errors import ModelError, StorageError
from depthdeploy.frontend.download import download

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does, and what it was asked."""

    url: str = ""
    ranges: bool = True
    declared: str = ""
    redirect: str = ""
    statuses: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.asked.append(wanted)
            status = site.statuses.pop(0) if site.statuses else 200
            if site.redirect and self.path != "/stored":
                status, length, start = 302, 0, 0
                self.send_response(status)
                self.send_header("Location", site.redirect)
            elif status != 200:
                self.send_error(status)
                return
            else:
                start = int(wanted[6:-1]) if wanted and site.ranges else 0
                if start >= len(CONTENT):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
                length = len(CONTENT) - start
            if site.declared and (self.path != "/stored" or not site.redirect):
                self.send_header("X-Linked-ETag", f'"{site.declared}"')
            self.send_header("Content-Length", str(length))
            self.end_headers()
            stop = site.cut.pop(0) if site.cut and length else len(CONTENT)
            self.wfile.write(CONTENT[start:stop] if length else b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}/weights.pt"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def no_pause(seconds: float) -> None:
    assert seconds > 0


def fetch(url: str, path: Path, *, sha256: str = "", progress: Progress = lambda done, total: None) -> str:
    return download(url, path, sha256=sha256, progress=progress, pause=no_pause)


def test_a_file_arrives_whole_with_its_digest_and_progress(site: Site, tmp_path: Path) -> None:
    path, seen = tmp_path / "deep" / "weights.pt", []
    assert fetch(site.url, path, sha256=SHA256, progress=lambda done, total: seen.append((done, total))) == SHA256
    assert path.read_bytes() == CONTENT
    assert [item.name for item in path.parent.iterdir()] == ["weights.pt"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_part_is_continued(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    (tmp_path / "weights.pt.part").write_bytes(CONTENT[:1000])
    assert fetch(site.url, path, sha256=SHA256) == SHA256
    assert path.read_bytes() == CONTENT
    assert site.asked == ["bytes=1000-"]


def test_a_server_without_ranges_gives_it_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    path = tmp_path / "weights.pt"
    (tmp_path / "weights.pt.part").write_bytes(CONTENT[:1000])
    assert fetch(site.url, path, sha256=SHA256) == SHA256
    assert path.read_bytes() == CONTENT


def test_an_interrupted_download_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.cut = [300_000, 700_000]
    path = tmp_path / "weights.pt"
    assert fetch(site.url, path, sha256=SHA256) == SHA256
    assert path.read_bytes() == CONTENT
    assert site.asked == ["", "bytes=300000-", "bytes=700000-"]


def test_a_download_that_keeps_breaking_off_is_given_up_and_kept(site: Site, tmp_path: Path) -> None:
    site.cut = [1000] * 9
    path = tmp_path / "weights.pt"
    with pytest.raises(ModelError, match=r"the connection ended after 1000 of 1048576 bytes.*--weights"):
        fetch(site.url, path, sha256=SHA256)
    assert not path.exists()
    assert (tmp_path / "weights.pt.part").read_bytes() == CONTENT[:1000]


def test_a_user_who_stops_it_loses_nothing(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(site.url, path, sha256=SHA256, progress=stop)
    assert not path.exists()
    assert (tmp_path / "weights.pt.part").stat().st_size > len(CONTENT) // 2
    assert fetch(site.url, path, sha256=SHA256) == SHA256
    assert site.asked[-1].startswith("bytes=")


def test_without_a_digest_nothing_is_continued(site: Site, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(b"another file's beginning")
    assert fetch(site.url, tmp_path / "weights.pt") == SHA256
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(CONTENT + b"more")
    assert fetch(site.url, tmp_path / "weights.pt", sha256=SHA256) == SHA256


def test_a_wrong_digest_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"SHA-256 {SHA256}, and 00ff was expected"):
        fetch(site.url, tmp_path / "weights.pt", sha256="00ff")
    assert list(tmp_path.iterdir()) == []


def test_the_first_digits_of_a_digest_are_enough(site: Site, tmp_path: Path) -> None:
    assert fetch(site.url, tmp_path / "weights.pt", sha256=SHA256[:8]) == SHA256


@pytest.mark.parametrize("redirected", [False, True])
def test_the_digest_that_the_server_declares_is_checked(site: Site, tmp_path: Path, redirected: bool) -> None:
    site.redirect = site.url.replace("/weights.pt", "/stored") if redirected else ""
    site.declared = SHA256
    assert fetch(site.url, tmp_path / "good.pt") == SHA256
    site.declared = "0" * 64
    with pytest.raises(ModelError, match=r"0{64} was expected"):
        fetch(site.url, tmp_path / "bad.pt")
    assert not (tmp_path / "bad.pt").exists()


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_names_file_address_and_place(site: Site, tmp_path: Path, status: int) -> None:
    site.statuses = [status]
    path = tmp_path / "weights.pt"
    with pytest.raises(ModelError) as caught:
        fetch(site.url, path)
    for part in ("weights.pt cannot be downloaded", site.url, f"answers {status}", f"put it at {path}", "--weights"):
        assert part in str(caught.value)
    assert len(site.asked) == 1


def test_passing_trouble_of_the_server_is_waited_out(site: Site, tmp_path: Path) -> None:
    site.statuses = [503, 429]
    assert fetch(site.url, tmp_path / "weights.pt", sha256=SHA256) == SHA256
    site.statuses = [503] * 9
    with pytest.raises(ModelError, match="answers 503"):
        fetch(site.url, tmp_path / "other.pt")


def test_without_a_network_the_place_for_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    waited: list[float] = []
    with pytest.raises(ModelError, match=r"Connection refused.*put it at .*weights\.pt"):
        download("http://127.0.0.1:9/weights.pt", path, pause=waited.append)
    assert waited == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/weights.pt", "weights.pt"])
def test_only_the_web_is_read(tmp_path: Path, url: str) -> None:
    with pytest.raises(ModelError, match="not an address on the web"):
        fetch(url, tmp_path / "weights.pt")


def test_a_full_disk_is_named(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, mode: str = "r", *args: object, **kwargs: object) -> IO[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageError, match=r"the disk is full.*--cache"):
        fetch(site.url, tmp_path / "weights.pt")


def test_a_place_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", "utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch(site.url, tmp_path / "file" / "weights.pt")
