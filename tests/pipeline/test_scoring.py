"""The run's reference, the gallery's file, and the limits on what may be lost."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.gallery import GalleryItem
from depthdeploy.core.metrics import Distribution, Evaluation, Evidence, MetricKind
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.request import CompileRequest, Drop
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.errors import UsageError
from depthdeploy.pipeline import scoring
from depthdeploy.pipeline.destination import resolve
from depthdeploy.pipeline.limits import over_the_limit
from depthdeploy.pipeline.reference import Reference
from depthdeploy.testing.graphs import residual_block


def _evaluation(kind: MetricKind, evidence: Evidence, value: float, dataset: str = "set") -> Evaluation:
    ordinal = kind is MetricKind.ORDINAL
    spread = Distribution(value, value, value, ())
    return Evaluation(
        kind=kind,
        dataset=dataset,
        candidate=evidence.value,
        ran_on="here",
        evidence=evidence,
        reference="reference",
        alignment="none",
        resize="squashed",
        images=4,
        weight=100,
        metrics={} if ordinal else {"delta1": spread, "sqnr_db": spread},
        totals={"accuracy": value} if ordinal else {},
        per_image=(),
    )


def _ran(value: float, *, fp32: float = 95.0) -> list[Evaluation]:
    return [
        _evaluation(MetricKind.FIDELITY, Evidence.EMULATED, 99.9),
        _evaluation(MetricKind.FIDELITY, Evidence.MEASURED, 99.0),
        _evaluation(MetricKind.ORDINAL, Evidence.REFERENCE, fp32),
        _evaluation(MetricKind.ORDINAL, Evidence.MEASURED, value),
    ]


def test_limits_that_are_met() -> None:
    limits = (Drop("delta1", 1.0), Drop("ordinal", 2.0))
    assert over_the_limit(_ran(93.5), limits, "target") is None


def test_every_broken_limit_is_named() -> None:
    error = over_the_limit(_ran(90.0), (Drop("delta1", 0.5), Drop("ordinal", 2.0)), "target")
    assert error is not None
    assert "delta1 loses 1.00 points" in error.what
    assert "ordinal loses 5.00 points" in error.what


def test_the_artifact_counts_and_not_its_emulation() -> None:
    assert over_the_limit(_ran(95.0), (Drop("delta1", 0.5),), "target") is not None
    emulated_only = [one for one in _ran(95.0) if one.evidence is not Evidence.MEASURED]
    assert over_the_limit(emulated_only, (Drop("delta1", 0.5),), "target") is None


def test_a_gain_breaks_no_limit() -> None:
    assert over_the_limit(_ran(97.0), (Drop("ordinal", 0.0),), "target") is None


def test_a_limit_on_what_was_not_measured_is_broken() -> None:
    error = over_the_limit(_ran(95.0), (Drop("dense", 50.0),), "target")
    assert error is not None
    assert "not measured" in error.what


def test_fidelity_is_weighted_by_photographs() -> None:
    rows = [
        _evaluation(MetricKind.FIDELITY, Evidence.MEASURED, 90.0, "a"),
        _evaluation(MetricKind.FIDELITY, Evidence.MEASURED, 100.0, "b"),
    ]
    assert scoring.mean_fidelity(rows, "delta1", Evidence.MEASURED) == pytest.approx(95.0)
    assert scoring.mean_fidelity(rows, "delta1", Evidence.EMULATED) is None
    assert scoring.loss_so_far(rows, Evidence.EMULATED) == ""
    assert "on 8 photographs" in scoring.loss_so_far(rows, Evidence.MEASURED)


def test_a_gallery_comes_back(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    maps = {"FP32": generator.random((6, 8), dtype=np.float32), "int8": np.full((6, 8), np.nan, np.float32)}
    image = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    items = [GalleryItem("a/b.jpg", image, maps, True, "", "worst"), GalleryItem("c", image, maps, False, "m", "even")]
    scoring.save_gallery(items, tmp_path / "gallery.npz")
    for item, again in zip(items, scoring.load_gallery(tmp_path / "gallery.npz"), strict=True):
        assert (again.photo, again.unit, again.why) == (item.photo, item.unit, item.why)
        assert again.nearer_is_larger == item.nearer_is_larger
        assert list(again.maps) == list(item.maps)
        np.testing.assert_array_equal(again.image, item.image)
        for name, values in item.maps.items():
            np.testing.assert_array_equal(again.maps[name], values)


def test_the_reference_is_run_once_per_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.onnx"
    onnx.save(residual_block(), path)
    contract = InputContract(32, 32)
    spec = TensorSpec("image", "float32", contract.shape)
    depth = DepthContract(DepthKind.INVERSE_DEPTH)
    reference = Reference(OnnxModel(path, "0" * 64, 18, spec, spec, contract, depth, "tiny"))
    runs = []
    original = reference.session.predict

    def counted(tensor: np.ndarray) -> np.ndarray:
        runs.append(1)
        return original(tensor)

    monkeypatch.setattr(reference.session, "predict", counted)
    first, second = np.random.default_rng(0).random((2, 1, 3, 32, 32), dtype=np.float32)
    wanted = reference.predict(first)
    np.testing.assert_array_equal(reference.predict(first.copy()), wanted)
    assert not np.array_equal(reference.predict(second), wanted)
    assert len(runs) == 2


def test_destinations() -> None:
    (goal,) = resolve(CompileRequest(targets=("onnxruntime:cpu-avx2",)))
    assert str(goal) == "onnxruntime:cpu-avx2 int8"
    assert goal.scheme is not None
    assert goal.scheme.weights.bits == 7
    (plain,) = resolve(CompileRequest(targets=("onnxruntime:cpu-avx2",), precision="fp32"))
    assert plain.scheme is None


def test_the_same_destination_twice_is_refused() -> None:
    (default,) = resolve(CompileRequest(targets=("onnxruntime",)))
    with pytest.raises(UsageError, match="twice"):
        resolve(CompileRequest(targets=("onnxruntime", f"onnxruntime:{default.variant.name}")))
