"""A plan says what compile would do, ends with compile's own exit code, and changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import depthdeploy
from depthdeploy import api
from depthdeploy.core.depth import DepthKind
from depthdeploy.core.plan import Budget, Plan
from depthdeploy.core.request import CompileRequest
from depthdeploy.core.support import Allowances
from depthdeploy.errors import (
    CalibrationError,
    LatencyError,
    LicenceError,
    ModelError,
    UnsupportedGraph,
    UsageError,
)
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import residual_block

ANTIALIASED = """tiny (float[1,3,32,32] image) => (float[1,1,32,32] depth)
    <float[1,3,3,3] w, int64[4] half = {1, 1, 16, 16}, int64[4] full = {1, 1, 32, 32}> {
        a = Conv <pads = [1,1,1,1]> (image, w)
        b = Resize <mode = "linear", antialias = 1> (a, , , half)
        depth = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (b, , , full)
    }"""


@pytest.fixture(name="photos", scope="module")
def _photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for index in range(6):
        coarse = generator.integers(0, 255, size=(6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


def request(network: Path, photos: Path, tmp_path: Path, *targets: str, **more: object) -> CompileRequest:
    arguments: dict[str, object] = {
        "targets": targets or ("onnxruntime:cpu-avx2",),
        "onnx": network,
        "output_kind": DepthKind.INVERSE_DEPTH,
        "calibration": f"folder:{photos}",
        "out": tmp_path / "out",
        "cache": tmp_path / "cache",
    }
    return CompileRequest(**{**arguments, **more})  # type: ignore[arg-type]


def zoo(model: str, tmp_path: Path, **more: object) -> CompileRequest:
    return CompileRequest(**{  # type: ignore[arg-type]
        "targets": ("openvino:cpu-vnni",), "model": model, "cache": tmp_path / "cache", **more
    })  # fmt: skip


@pytest.fixture(name="network")
def _network(tmp_path: Path) -> Path:
    onnx.save(residual_block(), tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


def test_a_plan_of_a_network_that_can_be_compiled(network: Path, photos: Path, tmp_path: Path) -> None:
    plan = api.plan(request(network, photos, tmp_path))
    (target,) = plan.targets
    assert (plan.exit_code, plan.blockers, target.blockers) == (0, (), ())
    assert sum(row.accepted for row in target.operators) == target.legal.nodes
    assert sum(plan.network.operators.values()) == plan.network.size.nodes
    assert target.memory is not None
    assert target.memory.weight_bytes >= plan.network.size.parameters
    assert target.memory.activation_bytes > 0
    assert target.calibration is not None
    assert (target.calibration.images, target.calibration.verdict) == (4, "enough")
    assert target.quantization.weights == "int7 symmetric per channel"
    assert target.toolchain.present


def test_a_plan_changes_nothing(network: Path, photos: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    first = api.plan(request(network, photos, tmp_path))
    assert sorted(tmp_path.rglob("*")) == before
    assert first == api.plan(request(network, photos, tmp_path))


def test_the_legal_graph_of_a_plan_is_that_of_the_compilation(network: Path, photos: Path, tmp_path: Path) -> None:
    asked = request(network, photos, tmp_path)
    report = depthdeploy.compile(asked).results[0].report
    assert report is not None
    assert report.legalization == api.plan(asked).targets[0].legal


def test_refused_nodes_are_blockers_with_the_exit_code_of_compile(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    onnx.save(build(ANTIALIASED), tmp_path / "refused.onnx")
    asked = request(tmp_path / "refused.onnx", photos, tmp_path, "openvino:cpu-avx2", "onnxruntime:cpu-avx2")
    plan = api.plan(asked)
    refused, accepted = plan.targets
    assert [one.stage for one in refused.blockers] == ["legalize"]
    assert "b (Resize)" in refused.blockers[0].what
    assert not accepted.blockers
    assert plan.exit_code == UnsupportedGraph.exit_code
    error = depthdeploy.compile(dataclasses.replace(asked, until="legalize")).error
    assert error is not None
    assert error.exit_code == plan.exit_code


def test_an_approximation_is_planned_too(photos: Path, tmp_path: Path) -> None:
    onnx.save(build(ANTIALIASED), tmp_path / "aligned.onnx")
    allowances = Allowances(approximate=("resize=asymmetric",))
    plan = api.plan(request(tmp_path / "aligned.onnx", photos, tmp_path, allowances=allowances))
    assert plan.targets[0].legal.approximations == ("resize=asymmetric",)


@pytest.mark.parametrize(
    ("model", "more", "code"),
    [
        ("depth-anything-v2-base", {}, LicenceError.exit_code),
        ("depth-anything-v2-base", {"accepted_licence": "CC-BY-NC-4.0"}, 0),
        ("fastdepth", {}, ModelError.exit_code),  # its weights have no lasting address
    ],
)
def test_licence_and_weights_are_asked_for_before_they_are_needed(
    model: str, more: dict[str, object], code: int, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    plan = api.plan(zoo(model, tmp_path, **more))
    assert plan.exit_code == code
    assert plan.targets[0].legal.nodes > 50, "the graph is planned all the same"


def test_photographs_that_are_missing_are_a_blocker(network: Path, tmp_path: Path) -> None:
    plan = api.plan(request(network, tmp_path / "nowhere", tmp_path))
    assert plan.exit_code == CalibrationError.exit_code
    assert plan.targets[0].calibration is not None
    assert plan.targets[0].calibration.images is None


def test_few_photographs_are_told(network: Path, photos: Path, tmp_path: Path) -> None:
    plan = api.plan(request(network, photos, tmp_path, recipe="best"))
    assert plan.exit_code == CalibrationError.exit_code
    assert "128" in plan.blockers[0].what


def test_a_network_of_another_size_than_its_outline(tmp_path: Path) -> None:
    plan = api.plan(zoo("midas-v21-small", tmp_path, size=(288, 512)))
    assert (plan.network.input.height, plan.network.input.width) == (288, 512)
    assert plan.network.size.macs > 10e9


def test_a_size_that_the_network_cannot_take(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="multiples of 32"):
        api.plan(zoo("midas-v21-small", tmp_path, size=(100, 100)))


def timed(tmp_path: Path, budget: Budget) -> Plan:
    return api.plan(zoo("midas-v21-small", tmp_path, targets=("onnxruntime:cpu-vnni",)), budget=budget)


def test_a_budget_that_is_missed_is_a_blocker(tmp_path: Path) -> None:
    generous, mean = timed(tmp_path, Budget(1e6)), timed(tmp_path, Budget(1e-6))
    assert generous.exit_code == 0
    assert mean.exit_code == LatencyError.exit_code
    assert "estimated" in mean.targets[0].blockers[0].what


def test_a_share_of_the_chip_takes_longer(tmp_path: Path) -> None:
    whole, half = (timed(tmp_path, Budget(None, share)).targets[0].latency for share in (1.0, 0.5))
    assert whole is not None
    assert half is not None
    assert half.ms > whole.ms


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (-1.0, 1.0), (16.0, 0.0), (16.0, 1.5)])
def test_a_budget_that_is_none(wrong: tuple[float, float]) -> None:
    with pytest.raises(UsageError):
        Budget(*wrong)
