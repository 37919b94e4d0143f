"""The cards of the networks that come with depthdeploy, and the strictness of their reader."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from depthdeploy.errors import ModelError
from depthdeploy.plugin import DepthKind, ModelCard, NetworkPlugin, WeightsFormat, load_card

NAMES = sorted(
    point.name for point in entry_points(group="depthdeploy.models") if point.value.startswith("depthdeploy_models")
)

CARD = """
id = "tiny"
title = "Tiny"
[weights]
format = "torch"
filename = "tiny.pt"
[licence]
spdx = "MIT"
url = "https://example.org/licence"
[input]
height = 64
width = 96
multiple = 32
[output]
kind = "inverse-depth"
"""


def plugin_of(name: str) -> NetworkPlugin:
    (point,) = entry_points(group="depthdeploy.models", name=name)
    loaded = point.load()
    assert isinstance(loaded, NetworkPlugin)
    return loaded


def written(folder: Path, text: str) -> Path:
    path = folder / "card.toml"
    path.write_text(text, "utf-8")
    return path


def test_all_fourteen_networks_are_declared() -> None:
    assert len(NAMES) == 14


@pytest.mark.parametrize("name", NAMES)
def test_a_card_states_what_a_user_must_know(name: str) -> None:
    card = plugin_of(name).card
    assert isinstance(card, ModelCard)
    assert card.id == name
    assert card.title
    assert card.paper.startswith("https://") or card.id == "pico"
    assert card.licence.spdx in {"MIT", "Apache-2.0", "CC-BY-NC-4.0"}
    assert card.licence.commercial == ("-NC-" not in card.licence.spdx)
    assert bool(card.weights.url) != bool(card.weights.packaged) or card.id == "fastdepth"
    assert (card.output.kind is DepthKind.METRIC_DEPTH) == (card.output.far is not None)
    assert len(card.weights.sha256) in {0, 64}
    for metric in card.published:
        assert metric.source.startswith("https://")


def test_only_small_depth_anything_is_free_for_commercial_use() -> None:
    bound = {name for name in NAMES if not plugin_of(name).card.licence.commercial}
    assert bound == {name for name in NAMES if name.startswith("depth-anything") and not name.endswith("small")}


def test_metric_variants_state_their_range() -> None:
    far = {name: plugin_of(name).card.output.far for name in NAMES if "-metric-" in name}
    assert {value for name, value in far.items() if "-indoor-" in name} == {20.0}
    assert {value for name, value in far.items() if "-outdoor-" in name} == {80.0}
    assert len(far) == 6


def test_every_card_is_read_without_torch() -> None:
    modules = sorted({point.value.partition(":")[0] for point in entry_points(group="depthdeploy.models")})
    heavy = "{'torch', 'transformers', 'onnx', 'safetensors'} & set(sys.modules)"
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nassert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_card_without_variants(tmp_path: Path) -> None:
    card = load_card(written(tmp_path, CARD))
    assert (card.id, card.weights.format, card.input.mean) == ("tiny", WeightsFormat.TORCH, (0.0, 0.0, 0.0))


def test_a_variant_is_laid_over_what_is_shared(tmp_path: Path) -> None:
    own = '[variants.wide]\nid = "tiny-wide"\n[variants.wide.input]\nwidth = 128\nmean = [1, 2.5, 3]\n'
    card = load_card(written(tmp_path, CARD + own), "wide")
    assert (card.id, card.title) == ("tiny-wide", "Tiny")
    assert (card.input.height, card.input.width, card.input.mean) == (64, 128, (1.0, 2.5, 3.0))


def test_packaged_weights_are_relative_to_the_card(tmp_path: Path) -> None:
    text = CARD.replace('filename = "tiny.pt"', 'filename = "tiny.pt"\npackaged = "tiny.pt"')
    assert Path(load_card(written(tmp_path, text)).weights.packaged) == tmp_path.resolve() / "tiny.pt"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("height = 64", "hight = 64", ["input.hight", "unknown", "input.height", "an integer", "found nothing"]),
        ("height = 64", 'height = "64"', ["input.height", "expected an integer", "found str '64'"]),
        ("height = 64", "height = true", ["input.height", "found bool True"]),
        ("height = 64", "height = 65", ["input", "multiples of 32", "65x96"]),
        ('format = "torch"', 'format = "caffe"', ["weights.format", "torch, hugging-face, onnx", "'caffe'"]),
        ("multiple = 32", "multiple = 32\nmean = [0.5, 0.5]", ["input.mean", "an array of 3"]),
        ("multiple = 32", 'multiple = 32\nmean = [0.5, "a", 0.5]', ["input.mean[1]", "a number"]),
        ('kind = "inverse-depth"', 'kind = "inverse-depth"\nnear = 1.0', ["output", "near and far"]),
        ('[output]\nkind = "inverse-depth"', "output = 3", ["input.output"]),
        ('filename = "tiny.pt"', 'filename = "tiny.pt"\nsha256 = "ABC"', ["weights.sha256", "hexadecimal", "'ABC'"]),
        ('id = "tiny"', 'id = "tiny"\npublished = 3', ["published", "expected an array", "found int 3"]),
        ('id = "tiny"', 'id = "tiny"\nvariants = 3', ["variants", "a table of tables"]),
        ("height = 64", "height = ", ["not TOML"]),
    ],
)
def test_a_faulty_card_is_refused_by_file_key_and_value(tmp_path: Path, old: str, new: str, named: list[str]) -> None:
    path = written(tmp_path, CARD.replace(old, new))
    with pytest.raises(ModelError) as caught:
        load_card(path)
    for part in [str(path), *named]:
        assert part in str(caught.value)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = CARD.replace("height = 64", "height = 64.0").replace('spdx = "MIT"', "spdx = 1")
    with pytest.raises(ModelError, match=r"licence\.spdx.*input\.height"):
        load_card(written(tmp_path, text))


def test_a_variant_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no variant 'huge'; it has wide"):
        load_card(written(tmp_path, CARD + "[variants.wide]\n"), "huge")
    with pytest.raises(ModelError, match="no variant 'huge'; it has none"):
        load_card(written(tmp_path, CARD), "huge")


def test_a_card_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_card(tmp_path / "card.toml")


@pytest.mark.parametrize("name", NAMES)
def test_no_two_networks_share_a_file_in_the_cache(name: str) -> None:
    files = [plugin_of(other).card.weights.filename for other in NAMES]
    assert files.count(plugin_of(name).card.weights.filename) == 1
