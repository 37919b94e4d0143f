"""``performance.toml`` is read strictly: every mistake is named with file, key, expected and found."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthdeploy.core.performance import OperatorClass
from depthdeploy.core.performance_file import load_performance
from depthdeploy.errors import PluginError

GOOD = """
target = "toy"

[constants.toys]
efficiency = { conv = 0.5, depthwise = 0.1, matmul = 0.4, elementwise = 0.01, resize = 0.01, normalize = 0.01 }
memory_efficiency = 0.7
overhead_ms = 0.2
layer_overhead_us = 1.5
error = 1.4
borrowed = { matmul = 2.0 }
calibrated_on = "two figures"

[variants.one]
family = "toys"
title = "Toy One"
fused = ["Relu"]
bandwidth_gb_per_s = { value = 4, source = "the manual" }
on_chip_mib = { value = 0, source = "the manual", uncertain = true }

[variants.one.peaks.int8]
tops = { value = 26.0, source = "the manual" }
activation_bytes = 1
weight_bytes = 1

[[variants.one.rules]]
operator = "Resize"
attributes = { mode = ["cubic"] }
efficiency = 0.001
reason = "software"
source = "the manual"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "performance.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    one = load_performance(_write(tmp_path, GOOD))["one"]
    assert (one.target, one.variant, one.predicts, one.doubt, one.pipelined) == ("toy", "one", "latency", 1.0, False)
    assert one.peaks["int8"].tops.value == 26.0
    assert one.constants.efficiency[OperatorClass.CONV] == 0.5
    assert one.constants.borrowed == {OperatorClass.MATMUL: 2.0}
    assert one.rules[0].attributes == {"mode": ("cubic",)}
    assert one.uncertain("int8") == ("on-chip memory: the manual",)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("layer_overhead_us", "layer_overhead", "constants.toys.layer_overhead_us"),
        ('title = "Toy One"', 'title = "Toy One"\ntilte = ""', "variants.one.tilte"),
        ("conv = 0.5", "convolution = 0.5", "constants.toys.efficiency.conv"),
        ("normalize = 0.01 }", "normalize = 0.01, move = 1.0 }", "constants.toys.efficiency.move"),
        ("{ matmul = 2.0 }", "{ matmull = 2.0 }", "constants.toys.borrowed.matmull"),
        ("error = 1.4", "error = 0.9", "constants.toys.error"),
        ("value = 26.0", "value = 0", "variants.one.peaks.int8.tops.value"),
        ("value = 26.0", "value = nan", "variants.one.peaks.int8.tops.value"),
        ("value = 4,", "value = true,", "variants.one.bandwidth_gb_per_s.value"),
        ('value = 4, source = "the manual"', "value = 4", "variants.one.bandwidth_gb_per_s.source"),
        ('family = "toys"', 'family = "toy"', "variants.one.family"),
        ('{ mode = ["cubic"] }', '{ mode = "cubic" }', "mode"),
        ("weight_bytes = 1", "weight_bytes = 0.5", "variants.one.peaks.int8.weight_bytes"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in GOOD
    path = _write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PluginError) as caught:
        load_performance(path)
    assert key in str(caught.value)
    assert str(path) in str(caught.value)
