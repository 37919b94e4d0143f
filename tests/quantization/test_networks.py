"""A trained network and real photographs, where the folder of DEPTHDEPLOY_TEST_DATA has them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan

DATA = Path(os.environ.get("DEPTHDEPLOY_TEST_DATA", "/nowhere"))
NETWORK = DATA / "weights/fastdepth/fast_depth_224.onnx"

pytestmark = pytest.mark.skipif(not NETWORK.exists(), reason="DEPTHDEPLOY_TEST_DATA has no FastDepth")


def photographs(first: int, last: int) -> Iterator[NDArray[np.float32]]:
    for path in sorted((DATA / "photos/calib").iterdir())[first:last]:
        image = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        yield np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255)


@pytest.mark.parametrize(
    ("observer", "bits", "least"), [("minmax", 8, 34.0), ("percentile", 8, 34.5), ("minmax", 7, 28)]
)
def test_fastdepth_keeps_its_depth(
    *,
    store: Callable[[onnx.ModelProto], OnnxModel],
    legal: Callable[[OnnxModel], LegalModel],
    scheme: Callable[..., Scheme],
    tmp_path: Path,
    observer: str,
    bits: int,
    least: float,
) -> None:
    model = store(onnx.load(NETWORK))
    statistics = observe(model, photographs(0, 32), observer=parse_observer(observer), calibration_digest="", images=32)
    plan = make_plan(model, statistics, scheme(bits=bits))
    quantized = apply_plan(legal(model), plan, tmp_path / "q.onnx")
    reference, exact = OnnxSession(model.path), OnnxSession(quantized.model.path, exact=True)
    assert len(plan.weights) == 38
    assert [line.operator for line in plan.floats] == ["Conv"]
    figures = []
    for photo in photographs(64, 76):
        expected, found = reference.predict(photo).astype(np.float64), exact.predict(photo)
        figures.append(10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum()))
    assert np.mean(figures) > least
