"""The estimate: the formulas by hand, and laws that hold for every chip."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import onnx_ir as ir
import pytest

from depthdeploy.core.latency import Bound, Verdict
from depthdeploy.core.performance import OperatorClass, Performance, Residence, SlowRule, Sourced
from depthdeploy.errors import UsageError
from depthdeploy.estimate import estimate
from depthdeploy.estimate.roofline import contexts, priced
from depthdeploy.estimate.work import works_of

Graph = Callable[[str], ir.Model]

TEXT = """
g (float[1, 16, 32, 32] x) => (float[1, 16, 64, 64] y)
<float[16, 16, 3, 3] w, float[16, 1, 3, 3] d, float[4] s = {1.0, 1.0, 2.0, 2.0}>
{
    a = Conv <pads = [1, 1, 1, 1]> (x, w)
    b = Conv <pads = [1, 1, 1, 1], group = 16> (a, d)
    y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (b, , s)
}
"""


def test_a_layer_takes_the_longer_of_computing_and_moving(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    conv, depthwise, resize = made.layers
    macs, values = 16 * 32 * 32 * 16 * 9, 16 * 32 * 32
    assert conv.compute_ms == pytest.approx(2 * macs / 1e12 * 1e3)
    assert conv.memory_ms == pytest.approx((2 * values + 16 * 16 * 9) / 1e9 * 1e3)
    assert conv.ms == max(conv.compute_ms, conv.memory_ms)
    assert (conv.bound, depthwise.bound, resize.bound) == (Bound.MEMORY, Bound.MEMORY, Bound.MEMORY)
    assert made.ms == pytest.approx(sum(layer.ms for layer in made.layers))


def test_layers_that_stay_on_the_chip_move_their_weights_alone(graph: Graph, chip: Performance) -> None:
    roomy = replace(chip, on_chip_mib=Sourced(1.0, "test"))
    conv, depthwise, resize = estimate(graph(TEXT), roomy, "int8").layers
    assert (conv.moved_bytes, depthwise.moved_bytes, resize.moved_bytes) == (16 * 16 * 9, 16 * 9, 0)
    assert conv.bound is Bound.COMPUTE


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_a_share_of_the_chip_stretches_the_work_and_not_the_overhead(
    graph: Graph, chip: Performance, share: float
) -> None:
    slow = replace(chip, constants=replace(chip.constants, overhead_ms=3.0))
    whole, part = estimate(graph(TEXT), slow, "int8"), estimate(graph(TEXT), slow, "int8", concurrent=share)
    assert part.ms - 3.0 == pytest.approx((whole.ms - 3.0) / share)
    assert part.peak_gops == pytest.approx(whole.peak_gops * share)


@pytest.mark.parametrize("better", ["tops", "bandwidth", "efficiency", "precision"])
def test_a_better_chip_is_never_slower(graph: Graph, chip: Performance, better: str) -> None:
    changed, precision = chip, "int8"
    if better == "tops":
        changed = replace(chip, peaks={"int8": replace(chip.peaks["int8"], tops=Sourced(5.0, "test"))})
    elif better == "bandwidth":
        changed = replace(chip, bandwidth_gb_per_s=Sourced(5.0, "test"))
    elif better == "efficiency":
        chip = replace(chip, constants=replace(chip.constants, efficiency=dict.fromkeys(OperatorClass, 0.1)))
    else:
        precision = "fp16"
    worse = estimate(graph(TEXT), chip, precision)
    assert estimate(graph(TEXT), changed, "int8").ms <= worse.ms


def test_a_pipeline_runs_its_overhead_beside_the_layers(graph: Graph, chip: Performance) -> None:
    pipeline = replace(chip, pipelined=True, constants=replace(chip.constants, overhead_ms=1e3))
    assert estimate(graph(TEXT), pipeline, "int8").ms == 1e3


def test_a_rule_slows_the_layers_it_names_and_is_told(graph: Graph, chip: Performance) -> None:
    rule = SlowRule("Resize", {"coordinate_transformation_mode": ("align_corners",)}, 1e-4, "the slow unit", "test")
    made = estimate(graph(TEXT), replace(chip, rules=(rule,)), "int8")
    assert [bool(layer.slow) for layer in made.layers] == [False, False, True]
    assert made.layers[2].compute_ms == pytest.approx(16 * 64 * 64 * 8 / 1e8 * 1e3)
    assert made.notes == ("1 layers: the slow unit",)
    other = estimate(graph(TEXT.replace("align_corners", "half_pixel")), replace(chip, rules=(rule,)), "int8")
    assert not any(layer.slow for layer in other.layers)


def test_channels_are_rounded_up_to_what_the_array_takes(graph: Graph, chip: Performance) -> None:
    conv = estimate(graph(TEXT), chip, "int8").layers[0]
    padded = estimate(graph(TEXT), replace(chip, granule=Sourced(32.0, "test")), "int8").layers[0]
    assert padded.compute_ms == pytest.approx(4 * conv.compute_ms)
    assert padded.macs == conv.macs


def test_a_network_that_does_not_fit_is_loaded_in_parts(graph: Graph, chip: Performance) -> None:
    works = works_of(graph(TEXT), chip.fused)
    held = sum(work.weights + work.buffered for work in works)

    def with_room(values: float, layers: float = 100.0) -> Performance:
        residence = Residence(Sourced(values / 2**20, "t"), Sourced(layers, "t"), Sourced(50.0, "t"))
        return replace(chip, residence=residence, pipelined=True)

    fits, parts, many = with_room(held), with_room(held / 2.5), with_room(held, layers=2.0)
    assert [contexts(works, one, "int8") for one in (chip, fits, parts, many)] == [1, 1, 3, 2]
    assert priced(works, fits, "int8").reload_ms == 0.0
    assert priced(works, parts, "int8").reload_ms == pytest.approx(3 * 0.05)
    assert priced(works, fits, "int8", concurrent=0.5).reload_ms > 0.0  # another network has the other half


def test_the_interval_grows_with_every_doubt(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    assert (made.upper_ms / made.ms, made.ms / made.lower_ms) == pytest.approx((2.0, 2.0))
    stranger = estimate(graph(TEXT), replace(chip, doubt=2.0), "int8")
    assert stranger.upper_ms / stranger.ms == pytest.approx(math.exp(math.hypot(math.log(2), math.log(2))))
    unsettled = replace(chip, constants=replace(chip.constants, borrowed={OperatorClass.RESIZE: 3.0}))
    assert estimate(graph(TEXT), unsettled, "int8").upper_ms > made.upper_ms
    elsewhere = replace(chip, constants=replace(chip.constants, borrowed={OperatorClass.MATMUL: 3.0}))
    assert estimate(graph(TEXT), elsewhere, "int8").upper_ms == pytest.approx(made.upper_ms)


@pytest.mark.parametrize(
    ("budget", "verdict"),
    [(2.01, Verdict.HOLDS), (1.5, Verdict.LIKELY), (0.6, Verdict.UNLIKELY), (0.4, Verdict.MISSED)],
)
def test_a_budget_is_answered_by_the_whole_interval(
    graph: Graph, chip: Performance, budget: float, verdict: Verdict
) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    answer = made.fits(made.ms * budget)
    assert answer.verdict is verdict
    assert answer.margin_ms == pytest.approx(made.ms * (budget - 1))
    assert answer.worst_margin_ms < answer.margin_ms


def test_uncertain_figures_are_told(graph: Graph, chip: Performance) -> None:
    assert estimate(graph(TEXT), chip, "int8").notes == ()
    assert estimate(graph(TEXT), chip, "fp16").notes == ("peak in fp16: half",)


def test_an_unknown_precision_names_those_that_are_known(graph: Graph, chip: Performance) -> None:
    with pytest.raises(UsageError, match="int4") as caught:
        estimate(graph(TEXT), chip, "int4")
    assert "int8, fp16" in str(caught.value)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, math.nan])
def test_a_share_outside_of_the_chip_is_refused(graph: Graph, chip: Performance, share: float) -> None:
    with pytest.raises(UsageError, match="--concurrent"):
        estimate(graph(TEXT), chip, "int8", concurrent=share)
