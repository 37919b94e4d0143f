"""FastDepth on measured indoor frames: plausible figures, and the traps that would make them implausible."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.photos import DepthRange, Photo, PointPair
from depthdeploy.evaluation.run import EvaluationResult, evaluate
from depthdeploy.evaluation.scoring import Candidate
from depthdeploy.imaging.stream import stream
from depthdeploy.inference import OnnxSession, describe

DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="DEPTHDEPLOY_TEST_DATA names no folder with the development data")
CONTRACT = InputContract(224, 224)


@dataclass
class Frames:
    """Indoor RGB-D frames with depth in millimetres, and the pairs drawn from them."""

    root: Path
    name: str = "indoor"
    remarks: tuple[str, ...] = ()
    depth_range: DepthRange | None = DepthRange(0.1, 10.0)  # noqa: RUF009  frozen

    @property
    def photos(self) -> tuple[Photo, ...]:
        found = [path for folder in ("nyu", "open3d") for path in sorted((self.root / folder / "rgb").iterdir())]
        return tuple(Photo(path.relative_to(self.root).as_posix(), path.name, path.parts[-3]) for path in found)

    def image(self, photo: Photo) -> NDArray[np.uint8]:
        return np.asarray(Image.open(self.root / photo.id).convert("RGB"))

    def depth(self, photo: Photo) -> NDArray[np.float32]:
        path = (self.root / photo.id.replace("/rgb/", "/depth/")).with_suffix(".png")
        return (np.asarray(Image.open(path)) / 1000).astype(np.float32)

    def labels_digest(self, photo: Photo) -> str:
        return ""

    def pairs(self, photo: Photo) -> tuple[PointPair, ...]:
        annotated = json.loads((self.root / "pairs.json").read_text("utf-8"))
        return tuple(
            PointPair(tuple(pair["point1"]), tuple(pair["point2"]))
            if pair["closer_point"] == "point1"
            else PointPair(tuple(pair["point2"]), tuple(pair["point1"]))
            for pair in annotated.get(photo.id, [])
        )


def run(kind: DepthKind, unit: float = 1.0) -> EvaluationResult:
    root = Path(DATA or "")
    frames = Frames(root / "depth")
    session = OnnxSession(root / "weights" / "fastdepth" / "fast_depth_224.onnx")
    reference = Candidate("fp32", describe(), Evidence.REFERENCE, lambda x: session.predict(x) * np.float32(unit))
    coarse = Candidate(
        "16 levels", describe(), Evidence.EMULATED, lambda x: np.round(reference.predict(x) * 4) / np.float32(4)
    )
    return evaluate(
        frames,
        stream(frames, frames.photos, CONTRACT),
        depth=DepthContract(kind),
        contract=CONTRACT,
        reference=reference,
        candidates=[coarse],
    )


def by(result: EvaluationResult, kind: MetricKind, candidate: str) -> Evaluation:
    return next(one for one in result.evaluations if one.kind is kind and one.candidate == candidate)


def test_the_figures_are_those_of_a_network_that_works() -> None:
    result = run(DepthKind.METRIC_DEPTH)
    dense, ordinal = by(result, MetricKind.DENSE, "fp32"), by(result, MetricKind.ORDINAL, "fp32")
    # the network was trained on NYU; the camera of the others is another one
    nyu = [score.values["delta1"] for score in dense.per_image if score.stratum == "nyu"]
    assert len(nyu) == 3
    assert min(nyu) > 70
    assert ordinal.totals["accuracy"] > 80
    assert result.remarks == ()
    fidelity = by(result, MetricKind.FIDELITY, "16 levels")
    assert 20 < fidelity.metrics["sqnr_db"].mean < 40
    assert fidelity.metrics["delta1"].mean > 99
    assert by(result, MetricKind.ORDINAL, "16 levels").totals["ties"] > ordinal.totals["ties"]


def test_the_wrong_kind_and_the_wrong_unit_are_remarked() -> None:
    wrong_sign = run(DepthKind.INVERSE_DEPTH)
    assert by(wrong_sign, MetricKind.ORDINAL, "fp32").totals["accuracy"] < 20
    assert any("really inverse-depth" in remark for remark in wrong_sign.remarks)
    assert any("really the metre" in remark for remark in run(DepthKind.METRIC_DEPTH, unit=1000.0).remarks)
