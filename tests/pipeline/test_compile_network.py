"""The whole way from a tiny ONNX and a folder of photographs to an artifact and its report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from PIL import Image

import depthdeploy
from depthdeploy.core.depth import DepthKind
from depthdeploy.core.metrics import Evidence
from depthdeploy.core.progress import Progress, silent
from depthdeploy.core.report import StageRecord
from depthdeploy.core.request import CompileRequest, Drop
from depthdeploy.errors import AccuracyError, CalibrationError, ModelError, StorageError, UsageError
from depthdeploy.testing.graphs import residual_block
from depthdeploy_onnxruntime.target import OnnxRuntimeTarget

ALL = ["export", "canonicalize", "legalize", "calibrate", "quantize", "emulate", "compile", "evaluate"]


class Recorder:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[tuple[str, StageRecord]] = []
        self.remarks: list[str] = []
        self.failures: list[str] = []

    def started(self, stage: str, target: str) -> Progress:
        return silent

    def finished(self, record: StageRecord, target: str) -> None:
        self.records.append((target, record))

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def failed(self, target: str, error: Exception) -> None:
        self.failures.append(target)

    def stages(self, target: str) -> list[str]:
        return [record.name for of, record in self.records if of in ("", target)]

    def fresh(self) -> list[str]:
        return [record.name for _, record in self.records if not record.cached]


@pytest.fixture(name="network", scope="module")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    onnx.save(residual_block(), path)
    return path


@pytest.fixture(name="photos", scope="module")
def _photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for index in range(12):
        coarse = generator.integers(0, 255, size=(6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    return folder


def _request(network: Path, photos: Path, tmp_path: Path, targets: Sequence[str], **more: object) -> CompileRequest:
    arguments: dict[str, object] = {
        "targets": tuple(targets),
        "onnx": network,
        "output_kind": DepthKind.INVERSE_DEPTH,
        "calibration": f"folder:{photos}",
        "out": tmp_path / "out",
        "cache": tmp_path / "cache",
        "command": "depthdeploy compile ...",
    }
    return CompileRequest(**{**arguments, **more})  # type: ignore[arg-type]


def test_the_whole_way(network: Path, photos: Path, tmp_path: Path) -> None:
    told = Recorder()
    outcome = depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"]), told)
    (result,) = outcome.results
    assert outcome.error is None
    assert told.stages(result.target) == ALL
    assert result.folder is not None
    assert result.report is not None
    present = {path.relative_to(result.folder).as_posix() for path in result.folder.rglob("*") if path.is_file()}
    assert {"model.onnx", "plan.txt", "report.json", "report.md"} <= present
    assert any(name.startswith("maps/") and name.endswith(".png") for name in present)
    written = json.loads((result.folder / "report.json").read_text())
    assert written["command"] == "depthdeploy compile ..."
    calibration, evaluation = result.report.selections
    assert (calibration.images, evaluation.images) == (8, 4)
    assert not set(calibration.photos) & set(evaluation.photos)
    evidence = {one.evidence for one in result.report.evaluations}
    assert evidence == {Evidence.EMULATED, Evidence.MEASURED}
    assert result.report.kernels is not None
    assert result.report.kernels.emulated_sqnr_db > 20
    assert abs(result.report.kernels.gap_db) < 0.5


def test_an_identical_run_computes_nothing(network: Path, photos: Path, tmp_path: Path) -> None:
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"])
    first = depthdeploy.compile(request)
    told = Recorder()
    second = depthdeploy.compile(request, told)
    assert told.fresh() == []
    assert [r.report.evaluations for r in first.results if r.report] == [
        r.report.evaluations for r in second.results if r.report
    ]


@dataclass(frozen=True)
class Scaling:
    """A pass of a plug-in that multiplies the first layer's weights: no rewrite unless by one."""

    by: float
    name: str = "scaling"

    def __call__(self, model: ir.Model) -> bool:
        done = model.graph.name == f"scaled by {self.by}"
        model.graph.name = f"scaled by {self.by}"
        layer = next(node for node in model.graph if node.op_type == "Conv")
        weight = layer.inputs[1]
        assert weight is not None
        tensor = weight.const_value
        assert tensor is not None
        if not done:
            weight.const_value = ir.tensor(tensor.numpy() * np.float32(self.by), name=tensor.name)
        return not done


def lower_by(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    monkeypatch.setattr(OnnxRuntimeTarget, "lowering", lambda *_: (Scaling(by),))


def test_a_rewrite_that_changes_the_function_is_found_out(
    network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_by(monkeypatch, 1.5)
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"], until="legalize")
    error = depthdeploy.compile(request).error
    assert isinstance(error, ModelError)
    assert "changed the function" in error.what


def test_a_rewrite_with_another_setting_is_not_taken_from_the_store(
    network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"], until="legalize")
    for by, fresh in ((1.0, True), (1.0, False), (1.0 + 1e-7, True)):
        lower_by(monkeypatch, by)
        told = Recorder()
        assert depthdeploy.compile(request, told).error is None
        assert ("legalize" in told.fresh()) is fresh


def test_weights_beside_the_graph_are_part_of_it(photos: Path, tmp_path: Path) -> None:
    """The .onnx file stays the same byte for byte; what it computes does not."""
    path, model = tmp_path / "beside.onnx", residual_block()
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    graphs = set()
    for factor in (1.0, 2.0):
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        changed.graph.initializer[0].CopyFrom(
            onnx.numpy_helper.from_array(weights * np.float32(factor), changed.graph.initializer[0].name)
        )
        (tmp_path / "weights.bin").unlink(missing_ok=True)
        onnx.save(changed, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        graphs.add(path.read_bytes())
        told = Recorder()
        depthdeploy.compile(_request(path, photos, tmp_path, ["onnxruntime:cpu-avx2"], until="canonicalize"), told)
        assert told.fresh() == ["export", "canonicalize"], f"factor {factor}"
    assert len(graphs) == 1


def test_targets_with_equal_graphs_share_what_is_costly(network: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    told = Recorder()
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2", "openvino:cpu-avx2"])
    outcome = depthdeploy.compile(request, told)
    assert outcome.error is None
    second = {record.name: record.cached for of, record in told.records if of.startswith("openvino")}
    assert second["calibrate"]
    assert {result.target.split(":")[0] for result in outcome.results} == {"onnxruntime", "openvino"}


def test_a_change_computes_what_depends_on_it(network: Path, photos: Path, tmp_path: Path) -> None:
    depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"]))
    told = Recorder()
    depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"], observer="minmax"), told)
    assert told.fresh() == ["calibrate", "quantize", "emulate", "compile", "evaluate"]


@pytest.mark.parametrize("last", ALL)
def test_until(network: Path, photos: Path, tmp_path: Path, last: str) -> None:
    told = Recorder()
    outcome = depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"], until=last), told)
    assert outcome.error is None
    assert [record.name for _, record in told.records] == ALL[: ALL.index(last) + 1]
    assert (tmp_path / "out").exists() == (last == "evaluate")


def test_float_precision_needs_no_calibration(network: Path, photos: Path, tmp_path: Path) -> None:
    told = Recorder()
    outcome = depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime"], precision="fp32"), told)
    (result,) = outcome.results
    assert result.error is None
    assert result.report is not None
    assert "calibrate" not in told.stages(result.target)
    assert result.report.quantization is None
    fidelity = [one for one in result.report.evaluations if "sqnr_db" in one.metrics]
    assert all(one.metrics["sqnr_db"].mean > 80 for one in fidelity)


def test_a_limit_that_is_not_met_leaves_the_report(network: Path, photos: Path, tmp_path: Path) -> None:
    told = Recorder()
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"], max_drop=(Drop("ordinal", 1.0),))
    outcome = depthdeploy.compile(request, told)
    (result,) = outcome.results
    assert isinstance(outcome.error, AccuracyError)
    assert "not measured" in str(outcome.error)
    assert result.folder is not None
    assert (result.folder / "report.json").exists()
    assert told.failures == [result.target]


def test_a_failing_target_does_not_stop_the_others(
    network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthdeploy.pipeline import target_stages

    original = target_stages.compile

    def breaks(run: object, quantized: object, goal: object) -> object:
        if str(goal).startswith("onnxruntime:cpu-avx2"):
            raise StorageError("No space.", "Free some.")
        return original(run, quantized, goal)  # type: ignore[arg-type]

    monkeypatch.setattr(target_stages, "compile", breaks)
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2", "onnxruntime:cpu-vnni"], until="compile")
    outcome = depthdeploy.compile(request)
    assert [result.error is None for result in outcome.results] == [False, True]
    assert isinstance(outcome.error, StorageError)


def test_an_interrupt_keeps_finished_stages(
    network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthdeploy.quantization import engine

    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"])

    def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "make_plan", interrupted)
        with pytest.raises(KeyboardInterrupt):
            depthdeploy.compile(request)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "cache" / "stages").glob("*/.filling-*"))
    told = Recorder()
    assert depthdeploy.compile(request, told).error is None
    assert told.fresh() == ["quantize", "emulate", "compile", "evaluate"]


def test_a_folder_of_somebody_else_is_never_replaced(network: Path, photos: Path, tmp_path: Path) -> None:
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"])
    (result,) = depthdeploy.compile(request).results
    assert result.folder is not None
    for path in result.folder.iterdir():
        if path.is_file():
            path.unlink()
    (result.folder / "thesis.tex").write_text("years of work")
    outcome = depthdeploy.compile(request)
    assert isinstance(outcome.error, UsageError)
    assert (result.folder / "thesis.tex").read_text() == "years of work"


def test_the_same_photograph_cannot_calibrate_and_evaluate(network: Path, photos: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held-out"
    held_out.mkdir()
    (held_out / "another-name.png").write_bytes((photos / "03.png").read_bytes())
    request = _request(network, photos, tmp_path, ["onnxruntime"], evaluations=(f"folder:{held_out}",))
    with pytest.raises(CalibrationError, match=r"another-name\.png"):
        depthdeploy.compile(request)


def test_all_photographs_calibrate_and_the_report_says_so(network: Path, photos: Path, tmp_path: Path) -> None:
    told = Recorder()
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-avx2"], calibration_count=12)
    (result,) = depthdeploy.compile(request, told).results
    assert result.report is not None
    assert any("optimistic" in text for text in result.report.degradations)


def test_weights_beside_an_onnx_are_refused(network: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--weights"):
        depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime"], weights=network))


def test_a_kind_is_never_guessed(network: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--output-kind"):
        depthdeploy.compile(_request(network, photos, tmp_path, ["onnxruntime"], output_kind=None))


def test_a_size_that_a_model_cannot_take(photos: Path, tmp_path: Path) -> None:
    request = CompileRequest(
        targets=("onnxruntime",),
        model="pico",
        size=(100, 100),
        calibration=f"folder:{photos}",
        cache=tmp_path / "cache",
        out=tmp_path / "out",
    )
    with pytest.raises(ModelError, match="multiples of 32"):
        depthdeploy.compile(request)


def test_a_graph_is_never_taken_for_a_state_dict(network: Path, photos: Path, tmp_path: Path) -> None:
    request = CompileRequest(
        targets=("onnxruntime",),
        model="midas-v21-small",
        weights=network,
        calibration=f"folder:{photos}",
        cache=tmp_path / "cache",
        out=tmp_path / "out",
    )
    with pytest.raises(UsageError, match="--onnx"):
        depthdeploy.compile(request)


def test_an_artifact_for_another_processor_is_made_and_not_run(
    network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthdeploy.pipeline.target_stages.runs_here", lambda able, variant: False)
    request = _request(network, photos, tmp_path, ["onnxruntime:cpu-vnni"])
    (result,) = depthdeploy.compile(request).results
    assert result.error is None
    assert result.folder is not None
    assert result.report is not None
    assert (result.folder / "model.onnx").exists()
    assert {one.evidence for one in result.report.evaluations} == {Evidence.EMULATED}
    assert result.report.artifact_latency is None
    assert result.report.kernels is None
    assert any("not evaluated" in text for text in result.report.remarks)
    assert "not evaluated" in (result.folder / "report.md").read_text()
