"""Sensitivities and mixed precision of a trained network, where the folder of DEPTHDEPLOY_TEST_DATA has it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.scheme import Escape, Scheme
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.mixed import MixedPrecision
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.sensitivity import SensitivityAnalysis
from depthdeploy.quantization.workbench import Draft, Workbench

DATA = Path(os.environ.get("DEPTHDEPLOY_TEST_DATA", "/nowhere"))
NETWORK = DATA / "weights/fastdepth/fast_depth_224.onnx"

pytestmark = pytest.mark.skipif(not NETWORK.exists(), reason="DEPTHDEPLOY_TEST_DATA has no FastDepth")


class Photographs:
    """The first photographs of the calibration folder."""

    digest = "test"

    def __len__(self) -> int:
        return 8

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        for path in sorted((DATA / "photos/calib").iterdir())[: min(count or 8, 8)]:
            image = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            yield np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255)


def test_layers_add_up_roughly_and_few_of_them_buy_two_decibels(
    store: Callable[[onnx.ModelProto], OnnxModel], scheme: Callable[..., Scheme], tmp_path: Path
) -> None:
    model = store(onnx.load(NETWORK))
    photographs = Photographs()
    statistics = observe(
        model, photographs.first(), observer=parse_observer("percentile"), calibration_digest="", images=8
    )
    formats = replace(scheme(), escapes=(Escape("fp32", None, 2.6, "test"),))
    bench = Workbench(model, formats, photographs, tmp_path)
    draft = SensitivityAnalysis(images=4)(Draft(model, statistics, make_plan(model, statistics, formats)), bench).draft
    rows = draft.findings.sensitivity
    together = -10 * np.log10(sum(10 ** (-row.sqnr_alone_db / 10) for row in rows))
    assert together == pytest.approx(rows[-1].sqnr_accumulated_db, abs=4)
    found = MixedPrecision(images=4, sqnr_db=rows[-1].sqnr_accumulated_db + 2)(draft, bench)
    (taken,) = [point for point in found.draft.findings.pareto if point.chosen]
    assert not found.degradations
    assert len(taken.escaped) <= 6
    assert taken.cost < 1.2
