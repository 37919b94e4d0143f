"""A chip with round numbers: 1 TOPS, 1 GB/s, everything reached, nothing beside the work."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.performance import Constants, OperatorClass, Peak, Performance, Sourced
from depthdeploy.testing.graph_text import build

PERFECT = Constants(
    family="toy",
    efficiency={kind: 1.0 for kind in OperatorClass if kind is not OperatorClass.MOVE},
    memory_efficiency=1.0,
    overhead_ms=0.0,
    layer_overhead_us=0.0,
    error=2.0,
    borrowed={},
    calibrated_on="nothing",
)

CHIP = Performance(
    target="toy",
    variant="one",
    title="Toy One",
    predicts="latency",
    peaks={"int8": Peak(Sourced(1.0, "the manual"), 1, 1), "fp16": Peak(Sourced(0.5, "half", uncertain=True), 2, 2)},
    bandwidth_gb_per_s=Sourced(1.0, "the manual"),
    on_chip_mib=Sourced(0.0, "none"),
    constants=PERFECT,
    fused=frozenset({"Relu"}),
    granule=Sourced(1.0, "the manual"),
    in_use=Sourced(1.0, "the manual"),
)


@pytest.fixture
def chip() -> Performance:
    return CHIP


@pytest.fixture
def graph() -> Callable[[str], ir.Model]:
    return lambda text: ir.from_proto(onnx.shape_inference.infer_shapes(build(text), strict_mode=True))
