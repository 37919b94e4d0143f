"""Every target that ships has performance data for each of its variants and precisions, with sources."""

from __future__ import annotations

import inspect
import time
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from depthdeploy import registry
from depthdeploy.core.performance import OperatorClass
from depthdeploy.core.target import Capabilities
from depthdeploy.estimate import estimate, performance_of
from depthdeploy.testing.graph_text import build

TARGETS = sorted(registry.targets)


class Bare:
    """A target of a third party, without the file."""

    @property
    def capabilities(self) -> Capabilities:
        raise AssertionError("not asked for")


@pytest.mark.parametrize("name", TARGETS)
def test_every_variant_has_its_data(name: str) -> None:
    target = registry.targets[name]
    found = performance_of(target)
    assert set(found) >= set(target.capabilities.variants)
    for variant, capabilities in target.capabilities.variants.items():
        assert set(found[variant].peaks) >= {one for one in capabilities.precisions if one != "mixed"}
        assert found[variant].target == name


@pytest.mark.parametrize("name", TARGETS)
def test_every_number_has_its_source(name: str) -> None:
    for one in performance_of(registry.targets[name]).values():
        figures = [one.bandwidth_gb_per_s, one.on_chip_mib, one.in_use, *(peak.tops for peak in one.peaks.values())]
        assert all(figure.source.strip() for figure in figures)
        assert one.constants.calibrated_on != "nothing yet"
        assert one.constants.error >= 1.0
        assert set(one.constants.efficiency) == set(OperatorClass) - {OperatorClass.MOVE}


@pytest.mark.parametrize("name", TARGETS)
def test_the_file_lies_beside_the_light_half(name: str) -> None:
    assert Path(inspect.getfile(type(registry.targets[name]))).with_name("performance.toml").is_file()


def test_a_target_without_the_file_has_nothing_to_estimate_with() -> None:
    assert performance_of(Bare()) == {}  # type: ignore[arg-type]


def test_an_estimate_takes_milliseconds() -> None:
    chain = "\n".join(f"v{n} = Conv <pads = [1, 1, 1, 1]> (v{n - 1}, w)" for n in range(1, 301))
    text = f"g (float[1, 8, 16, 16] v0) => (float[1, 8, 16, 16] v300) <float[8, 8, 3, 3] w> {{ {chain} }}"
    model = ir.from_proto(onnx.shape_inference.infer_shapes(build(text)))
    chip = performance_of(registry.targets["onnxruntime"])["cpu-vnni"]
    spent = []
    for _ in range(5):
        start = time.process_time()
        estimate(model, chip, "int8")
        spent.append(time.process_time() - start)
    assert min(spent) < 0.05
