"""Where weights are looked for, and in which order."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from depthdeploy.core.progress import Progress
from depthdeploy.errors import LicenceError, ModelError
from depthdeploy.frontend.weights import LocatedWeights, locate_weights
from depthdeploy.plugin import (
    DepthContract,
    DepthKind,
    InputContract,
    Licence,
    ModelCard,
    WeightsFormat,
    WeightsSource,
)

CONTENT = bytes(range(256)) * 16
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://example.org/tiny.pt"


@dataclass
class Web:
    """Stands for the network: gives the content for every address, and keeps what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, url: str, path: Path, *, sha256: str, progress: Progress) -> str:
        self.asked.append((url, sha256))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        progress(len(CONTENT), len(CONTENT))
        return SHA256


def card(*, url: str = "", sha256: str = "", packaged: str = "", commercial: bool = True) -> ModelCard:
    spdx = "MIT" if commercial else "CC-BY-NC-4.0"
    return ModelCard(
        id="tiny",
        title="Tiny",
        weights=WeightsSource(WeightsFormat.TORCH, "tiny.pt", url, sha256, packaged),
        licence=Licence(spdx, "https://example.org/licence", commercial),
        input=InputContract(64, 64),
        output=DepthContract(DepthKind.INVERSE_DEPTH),
        notes="Ask its author.",
    )


def located(
    model: ModelCard, cache: Path, *, given: Path | None = None, accepted: str | None = None, web: Web | None = None
) -> LocatedWeights:
    return locate_weights(model, given=given, cache=cache, accepted_licence=accepted, downloader=web or Web())


@pytest.mark.parametrize("accepted", [None, "MIT", "cc-by-nc-4.0"])
def test_consent_comes_first_even_for_a_file_of_the_users(tmp_path: Path, accepted: str | None) -> None:
    with pytest.raises(LicenceError) as caught:
        located(card(commercial=False), tmp_path, given=tmp_path / "missing.pt", accepted=accepted)
    for part in ("CC-BY-NC-4.0", "https://example.org/licence", "--accept-licence CC-BY-NC-4.0"):
        assert part in str(caught.value)


def test_given_weights_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(CONTENT)
    result = located(card(commercial=False), tmp_path, given=path, accepted="CC-BY-NC-4.0")
    assert result == LocatedWeights(path, SHA256, f"given: {path}")


def test_a_given_folder_has_a_digest_of_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    with pytest.raises(ModelError, match="holds no weights"):
        located(card(), tmp_path, given=folder)
    (folder / "model.safetensors").write_bytes(CONTENT)
    first = located(card(), tmp_path, given=folder)
    (folder / "README.md").write_text("words", "utf-8")
    assert located(card(), tmp_path, given=folder) == first
    (folder / "config.json").write_text("{}", "utf-8")
    assert located(card(), tmp_path, given=folder).sha256 != first.sha256


def test_given_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no file"):
        located(card(), tmp_path, given=tmp_path / "missing.pt")


def test_packaged_weights_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "packaged.pt"
    model = card(packaged=str(path))
    with pytest.raises(ModelError, match="missing from the installation"):
        located(model, tmp_path)
    path.write_bytes(CONTENT)
    assert located(model, tmp_path) == LocatedWeights(path, SHA256, "packaged")
    with pytest.raises(ModelError, match="the card says 00"):
        located(replace(model, weights=replace(model.weights, sha256="00")), tmp_path)


def test_a_download_is_kept_in_the_cache_and_not_repeated(tmp_path: Path) -> None:
    model, web = card(url=URL, sha256=SHA256), Web()
    first = located(model, tmp_path, web=web)
    assert first == LocatedWeights(tmp_path / "tiny.pt", SHA256, f"downloaded from {URL}")
    again = located(model, tmp_path, web=web)
    assert (again.path, again.sha256, again.source) == (first.path, SHA256, f"cache: {first.path}")
    assert web.asked == [(URL, SHA256)]


def test_the_digest_of_the_first_download_is_held_to(tmp_path: Path) -> None:
    model = card(url=URL)
    located(model, tmp_path)
    assert (tmp_path / "tiny.pt.sha256").read_text("utf-8").strip() == SHA256
    (tmp_path / "tiny.pt").write_bytes(b"another")
    with pytest.raises(ModelError, match=f"{SHA256} was expected.*Delete it"):
        located(model, tmp_path)


def test_a_file_put_into_the_cache_by_hand_is_taken_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").write_bytes(CONTENT)
    assert located(card(), tmp_path).sha256 == SHA256
    assert (tmp_path / "tiny.pt.sha256").is_file()
    with pytest.raises(ModelError, match="00 was expected"):
        located(card(sha256="00"), tmp_path)


def test_weights_that_nobody_serves(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        located(card(), tmp_path)
    for part in ("Tiny cannot be downloaded by depthdeploy", "Ask its author.", "--weights", str(tmp_path / "tiny.pt")):
        assert part in str(caught.value)
