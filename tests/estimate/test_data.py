"""Every target that ships has performance data for each of its variants and precisions, with sources."""

from __future__ import annotations

import time

import onnx
import onnx_ir as ir
import pytest

from depthdeploy import registry
from depthdeploy.core.performance import OperatorClass
from depthdeploy.core.target import TimedTarget
from depthdeploy.estimate import estimate
from depthdeploy.testing.graph_text import build

TARGETS = sorted(registry.targets)


def timed(name: str) -> TimedTarget:
    target = registry.targets[name]
    assert isinstance(target, TimedTarget)
    return target


@pytest.mark.parametrize("name", TARGETS)
def test_every_variant_has_its_data(name: str) -> None:
    target = timed(name)
    found = target.performance
    assert set(found) >= set(target.capabilities.variants)
    for variant, capabilities in target.capabilities.variants.items():
        assert set(found[variant].peaks) >= {one for one in capabilities.precisions if one != "mixed"}
        assert found[variant].target == name


@pytest.mark.parametrize("name", TARGETS)
def test_every_number_has_its_source(name: str) -> None:
    for one in timed(name).performance.values():
        figures = [one.bandwidth_gb_per_s, one.on_chip_mib, one.in_use, *(peak.tops for peak in one.peaks.values())]
        assert all(figure.source.strip() for figure in figures)
        assert one.constants.calibrated_on != "nothing yet"
        assert one.constants.error >= 1.0
        assert set(one.constants.efficiency) == set(OperatorClass) - {OperatorClass.MOVE}


def test_an_estimate_takes_milliseconds() -> None:
    chain = "\n".join(f"v{n} = Conv <pads = [1, 1, 1, 1]> (v{n - 1}, w)" for n in range(1, 301))
    text = f"g (float[1, 8, 16, 16] v0) => (float[1, 8, 16, 16] v300) <float[8, 8, 3, 3] w> {{ {chain} }}"
    model = ir.from_proto(onnx.shape_inference.infer_shapes(build(text)))
    chip = timed("onnxruntime").performance["cpu-vnni"]
    spent = []
    for _ in range(5):
        start = time.process_time()
        estimate(model, chip, "int8")
        spent.append(time.process_time() - start)
    assert min(spent) < 0.05
