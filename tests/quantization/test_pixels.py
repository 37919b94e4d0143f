"""Pixels are put on the grid of whole numbers, whatever was seen of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthdeploy.core.depth import InputForm
from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.preprocessing import preprocessing_of
from depthdeploy.graph.passes.normalization_folding import Borders, NormalizationFolding
from depthdeploy.graph_file import read_graph, write_graph
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.pixels import pixel_ranges
from depthdeploy.testing.artifacts import store
from depthdeploy.testing.graphs import residual_block

UINT8 = NumberFormat(8, signed=False, symmetric=False, granularity=Granularity.TENSOR)
INT8 = NumberFormat(8, signed=True, symmetric=False, granularity=Granularity.TENSOR)


@pytest.fixture(name="plain")
def _plain(tmp_path: Path) -> OnnxModel:
    model = store(residual_block(), tmp_path / "plain.onnx")
    contract = replace(model.contract, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return replace(model, contract=contract)


def raw(model: OnnxModel, borders: Borders = Borders.CHANNEL) -> OnnxModel:
    graph = read_graph(model.path)
    units = preprocessing_of(model.contract)
    NormalizationFolding(units.mean, units.std, borders)(graph)
    path = model.path.with_name(f"{borders.value}.onnx")
    return replace(
        model, path=path, sha256=write_graph(graph, path), contract=replace(model.contract, form=InputForm.RAW)
    )


@pytest.mark.parametrize("observer", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("number_format", [UINT8, INT8], ids=str)
def test_no_pixel_is_rounded(plain: OnnxModel, observer: str, number_format: NumberFormat) -> None:
    dull = [np.full(plain.input.shape, value, np.float32) for value in (40, 41, 200)]
    statistics = observe(
        raw(plain),
        dull,
        observer=parse_observer(observer),
        calibration_digest="x",
        images=len(dull),
        number_format=number_format,
    )
    pixels = np.arange(256, dtype=np.float32)
    for name, centre in (("image", 0), ("image_centred", 114)):
        found = statistics.ranges[name]
        grid = Grid.covering(found.low, found.high, number_format)
        assert grid.scale == (1.0,)
        np.testing.assert_array_equal(grid.dequantize(grid.quantize(pixels - centre)), pixels - centre)


def test_a_normalised_input_is_no_pixels(plain: OnnxModel) -> None:
    assert pixel_ranges(plain) == {}


def test_a_layer_of_its_own_leaves_the_image_alone(plain: OnnxModel) -> None:
    assert dict(pixel_ranges(raw(plain, Borders.LAYER))) == {"image": (0.0, 255.0)}
