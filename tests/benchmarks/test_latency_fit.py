"""The fit of the latency estimate: the same formula, constants that are found again, and nothing seen beforehand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from latency.data_file import write_constants
from latency.figures import PublishedTime, performance_path, performances, published
from latency.fit import (
    START,
    Case,
    case_of,
    fit_families,
    fitted,
    left_out,
    predicted,
    unsettled,
    with_constants,
)
from latency.networks import CLASSIFIERS

from depthdeploy.core.performance import OperatorClass, Performance
from depthdeploy.core.performance_file import load_performance
from depthdeploy.estimate.roofline import estimate
from depthdeploy.estimate.work import works_of

TRUTH = START + np.array([0.3, -0.4, 0.2, 0.0, 0.0, 0.5, 0.0])
NETWORKS = ("mobilenet-v1-224", "mobilenet-v2-224", "resnet18-224", "repvgg-a0-224", "deit-tiny-224")


def _case(network: str, chip: Performance, ms: float, precision: str = "int8") -> Case:
    time = PublishedTime("toy", precision, network, ms, "test", fit=True, doubt="")
    return case_of(time, works_of(CLASSIFIERS[network](), chip.fused), chip)


@pytest.fixture(scope="module")
def chip() -> Performance:
    return performances()["rknn:rk3588"]


@pytest.fixture(scope="module")
def cases(chip: Performance) -> list[Case]:
    made = [_case(network, chip, 1.0) for network in NETWORKS]
    return [replace(case, ms=predicted(case, TRUTH)) for case in made]


@pytest.mark.parametrize("name", ["rknn:rk3588", "hailo:hailo8", "openvino:npu-3720", "tensorrt:jetson-nano"])
def test_the_fast_form_says_what_the_estimate_says(name: str) -> None:
    chip = performances()[name]
    precision = next(iter(chip.peaks))
    for network in ("mobilenet-v2-224", "deit-tiny-224", "scdepth-v3-256x320"):
        exact = estimate(CLASSIFIERS[network](), with_constants(chip, TRUTH), precision).ms
        assert predicted(_case(network, chip, 1.0, precision), TRUTH) == pytest.approx(exact, rel=0.01)


def test_constants_are_found_again_where_figures_tell_them(cases: list[Case]) -> None:
    theta = fitted(cases, START)
    assert all(predicted(case, theta) == pytest.approx(case.ms, rel=0.15) for case in cases)
    assert abs(theta[0] - TRUTH[0]) < abs(START[0] - TRUTH[0])


def test_a_left_out_figure_does_not_reach_its_own_prediction(cases: list[Case]) -> None:
    wrong = [replace(case, ms=case.ms * 50) if case.network == "resnet18-224" else case for case in cases]
    place = [case.network for case in cases].index("resnet18-224")
    by_network = (left_out(listed, START, lambda case: case.network) for listed in (cases, wrong))
    first, second = (found[place] for found in by_network)
    assert first == pytest.approx(second)


def test_priors_come_from_the_other_families(cases: list[Case]) -> None:
    others = [replace(case, family="other", ms=case.ms * 3) for case in cases]
    _, before = fit_families([*cases, *others])
    _, after = fit_families([*(replace(case, ms=case.ms * 9) for case in cases), *others])
    assert before[cases[0].family] == pytest.approx(after[cases[0].family])


def test_without_another_chip_there_is_no_prediction(cases: list[Case]) -> None:
    assert all(math.isnan(one) for one in left_out(cases, START, lambda case: case.chip))


def test_a_class_that_one_network_alone_computes_is_unsettled(cases: list[Case]) -> None:
    found = unsettled(cases, TRUTH)
    assert OperatorClass.MATMUL in found
    assert OperatorClass.CONV not in found


@pytest.mark.parametrize(
    ("network", "parameters", "giga"),
    [
        ("efficientnet-lite3-300", 8_158_762, 3.215), ("mobilenet-v2-224", 3_487_818, 0.602),
        ("resnet50-v1-224", 25_530_000, 6.98), ("scdepth-v3-256x320", 14_300_000, 10.7),
        ("fastdepth-224", 1_350_000, 0.74),
    ],
)  # fmt: skip
def test_networks_have_their_published_size(network: str, parameters: int, giga: float) -> None:
    works = works_of(CLASSIFIERS[network](), {"Relu", "Add"})
    assert sum(work.weights for work in works) == pytest.approx(parameters, rel=0.01)
    assert 2 * sum(work.macs for work in works) / 1e9 == pytest.approx(giga, rel=0.01)


def test_constants_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    source = performance_path("rknn:rk3588")
    path = tmp_path / "performance.toml"
    path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    constants = load_performance(path)["rk3588"].constants
    write_constants(path, [replace(constants, overhead_ms=7.25)])
    assert load_performance(path)["rk3588"].constants == replace(constants, overhead_ms=7.25)
    write_constants(path, [constants])
    assert path.read_text(encoding="utf-8") == source.read_text(encoding="utf-8")


def test_every_figure_names_its_chip_and_its_source() -> None:
    chips = performances()
    for time in published():
        assert time.precision in chips[time.target].peaks, time.name
        assert time.source
        assert time.ms > 0
