"""``capabilities.toml`` is read strictly: every mistake is named with file, key, expected and found."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthdeploy.core.capabilities import load_capabilities
from depthdeploy.core.ends import TailRule
from depthdeploy.errors import PluginError

GOOD = """
target = "toy"
title = "Toy"
opset = [13, 21]
artifact = ".bin"
driver = "toy.driver"
sdk = "toy-sdk"
install = "pip install toy-sdk"
runs_here = false

[variants.one]
title = "Toy One"
precisions = ["int8", "fp32"]
cpu_flags = ["neon"]
schemes = { int8 = "w7" }

[schemes.w7]
operators = ["Conv"]
quantize_output = true
source = "the manual, page 7"
[schemes.w7.weights]
bits = 7
signed = true
symmetric = true
granularity = "channel"
[schemes.w7.activations]
bits = 8
signed = false
symmetric = false
granularity = "tensor"

[[operators]]
names = ["Conv", "Resize"]
max_rank = 4
remedy = "Do without."
source = "the manual"
[operators.attributes]
mode = ["nearest", "linear"]
antialias = [0]
"""


def test_everything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "capabilities.toml"
    path.write_text(GOOD)
    able = load_capabilities(path)
    assert (able.target, able.opset, able.runs_here, able.install) == ("toy", (13, 21), False, "pip install toy-sdk")
    variant = able.variants["one"]
    assert (variant.precisions, variant.cpu_flags) == (("int8", "fp32"), ("neon",))
    scheme = variant.schemes["int8"]
    assert (scheme.name, scheme.weights.bits, scheme.weights.container, scheme.weights.qmax) == ("w7", 7, 8, 63)
    assert (str(scheme.activations), scheme.quantize_output) == ("uint8 asymmetric per tensor", True)
    assert set(able.operators) == {"Conv", "Resize"}
    assert able.operators["Resize"].attributes == {"mode": ("nearest", "linear"), "antialias": (0,)}
    assert able.operators["Resize"].max_rank == 4


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('title = "Toy"\n', 'titel = "Toy"\n', "title: expected str, found nothing"),
        ("runs_here = false", 'runs_here = false\ncolour = "red"', "colour: expected one of .*found an unknown key"),
        ("opset = [13, 21]", "opset = [13]", r"opset: expected the oldest and the newest version, found \[13\]"),
        ("bits = 7", "bits = 9", "schemes.w7.weights: expected a number format"),
        ("bits = 7", "bits = true", "schemes.w7.weights.bits: expected int, found True"),
        ('granularity = "channel"', 'granularity = "group"', "granularity: expected tensor or channel, found 'group'"),
        ('int8 = "w7"', 'int8 = "w8"', "variants.one.schemes.int8: .*found 'w8'"),
        ('int8 = "w7"', 'int4 = "w7"', "variants.one.schemes.int4"),
        ('["int8", "fp32"]', "[8]", "variants.one.precisions: expected a list of strings"),
        (
            'names = ["Conv", "Resize"]',
            'names = ["Conv", "Conv"]',
            r"operators\[0\].names: expected every operator once",
        ),
        ("max_rank = 4", "max_ranks = 4", r"operators\[0\].max_ranks"),
        ('remedy = "Do without."', "", r"operators\[0\].remedy: expected str, found nothing"),
        ("antialias = [0]", "antialias = 0", r"operators\[0\].attributes.antialias: expected a list"),
        ("[variants.one]", "[variants.one", "is not TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = tmp_path / "capabilities.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(PluginError, match=named) as caught:
        load_capabilities(path)
    assert str(path) in str(caught.value)


def test_a_target_can_leave_its_tail_to_the_host(tmp_path: Path) -> None:
    path = tmp_path / "capabilities.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_capabilities(path).host_tail is TailRule.NONE
    path.write_text(GOOD.replace("runs_here", 'host_tail = "resize"\nruns_here'), encoding="utf-8")
    assert load_capabilities(path).host_tail is TailRule.RESIZE
    path.write_text(GOOD.replace("runs_here", 'host_tail = "some"\nruns_here'), encoding="utf-8")
    with pytest.raises(PluginError, match=r"host_tail.*auto"):
        load_capabilities(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be read"):
        load_capabilities(tmp_path / "capabilities.toml")


ESCAPES = """
[[schemes.w7.escapes]]
name = "fp32"
cost = 3
source = "a run"

[[schemes.w7.escapes]]
name = "int16"
cost = 1.5
source = "the manual, page 9"
[schemes.w7.escapes.activations]
bits = 16
signed = false
symmetric = false
granularity = "tensor"
container = 16

[[operators]]
names = ["Conv", "Resize"]"""


def with_escapes(tmp_path: Path, old: str = "", new: str = "") -> Path:
    text = GOOD.replace('\n[[operators]]\nnames = ["Conv", "Resize"]', ESCAPES, 1)
    assert ESCAPES in text
    assert old in text
    path = tmp_path / "capabilities.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_escapes_are_read_the_cheapest_first(tmp_path: Path) -> None:
    cheap, dear = load_capabilities(with_escapes(tmp_path)).variants["one"].schemes["int8"].escapes
    assert (cheap.name, cheap.cost, cheap.source) == ("int16", 1.5, "the manual, page 9")
    assert cheap.activations is not None
    assert (cheap.activations.bits, cheap.activations.container) == (16, 16)
    assert (dear.name, dear.cost, dear.activations) == ("fp32", 3.0, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cost = 3", "cost = 1", r"schemes\.w7\.escapes\[0\]\.cost: expected a number above 1, found 1"),
        ("cost = 3", 'cost = "much"', r"escapes\[0\]\.cost: expected a number, found 'much'"),
        ('name = "int16"', 'name = "fp32"', r"schemes\.w7\.escapes: expected every name once"),
        ("cost = 1.5", "cost = 1.5\nspeed = 2", r"escapes\[1\]\.speed: expected one of .*, found an unknown key"),
        ("opset = [13, 21]", "opset = [13, 20]", r"opset: expected 21, as the 16-bit escape of scheme w7 needs"),
        (
            'granularity = "tensor"\ncontainer = 16',
            'granularity = "channel"\ncontainer = 16',
            r"escapes\[1\]\.activations\.granularity: expected tensor, found 'channel'",
        ),
    ],
)
def test_a_wrong_escape_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        load_capabilities(with_escapes(tmp_path, old, new))


CHIPS = """
[variants.two]
title = "Toy Two"
precisions = ["fp32"]
schemes = {}
aliases = ["toy-two", "second"]
device = "NPU"
artifact = ".blob"
opset = [11, 13]
uncertain = true

[[operators]]
names = ["Relu"]
variants = ["two"]
remedy = "Do without."
source = "the other manual"

[schemes.w7]"""


def with_chips(tmp_path: Path, old: str = "", new: str = "") -> Path:
    text = GOOD.replace("\n[schemes.w7]", CHIPS, 1)
    assert old in text
    path = tmp_path / "capabilities.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_variant_has_what_is_its_own(tmp_path: Path) -> None:
    able = load_capabilities(with_chips(tmp_path))
    assert (able.suffix("one"), able.suffix("two")) == (".bin", ".blob")
    assert (able.opsets("one"), able.opsets("two")) == ((13, 21), (11, 13))
    assert able.variants["two"].device == "NPU"
    assert set(able.rules("one")) == {"Conv", "Resize"}
    assert set(able.rules("two")) == {"Conv", "Resize", "Relu"}


def test_rules_of_an_uncertain_variant_are_uncertain(tmp_path: Path) -> None:
    able = load_capabilities(with_chips(tmp_path))
    assert {rule.uncertain for rule in able.rules("one").values()} == {False}
    assert {rule.uncertain for rule in able.rules("two").values()} == {True}


@pytest.mark.parametrize(
    ("name", "variant"), [("one", "one"), ("two", "two"), ("second", "two"), ("secon", None), ("Two", None), ("", None)]
)
def test_a_variant_by_name_or_alias(tmp_path: Path, name: str, variant: str | None) -> None:
    assert load_capabilities(with_chips(tmp_path)).variant_named(name) == variant


@pytest.mark.parametrize(("old", "new"), [('"second"', '"one"'), ('"second"', '"toy-two"')])
def test_a_name_that_means_two_variants(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(PluginError, match="variants: expected every name and alias once"):
        load_capabilities(with_chips(tmp_path, old, new))
