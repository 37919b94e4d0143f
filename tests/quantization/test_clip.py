"""Weight clipping: scales shrink where the error falls, and weights on a grid keep theirs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.quantization import topology
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.clip import WeightClipping, clipped
from depthdeploy.quantization.constants import with_constants
from depthdeploy.quantization.layers import Layer, planned_layers
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.workbench import Draft, Workbench
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Photos = list[NDArray[np.float32]]
Benches = Callable[[Draft, Scheme, Photos], Workbench]

NETWORKS = [graphs.depthwise_block(), graphs.concat_decoder(), graphs.transposed_decoder()]


def draft(model: OnnxModel, photos: Photos, scheme: Scheme) -> Draft:
    statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
    return Draft(model, statistics, make_plan(model, statistics, scheme))


def layers_of(one: Draft) -> tuple[Layer, ...]:
    return planned_layers(topology.load(one.model).graph, one.plan)


def errors(weight: NDArray[np.floating], grid: Grid, norm: float = 2.0) -> NDArray[np.float64]:
    """Of every scale of a grid."""
    found = grid.dequantize(grid.quantize(weight)).astype(np.float64) - weight
    axis = 0 if grid.axis is None else grid.axis
    powers = np.moveaxis(np.abs(found) ** norm, axis, 0).reshape(weight.shape[axis], -1).sum(axis=1)
    return np.asarray(powers if grid.axis is not None else powers.sum(keepdims=True))


@pytest.mark.parametrize("proto", NETWORKS, ids=lambda proto: proto.graph.name)
@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize("norm", [2.0, 3.0])
def test_no_scale_costs_more_and_the_grids_of_biases_follow(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches,
    *, proto: onnx.ModelProto, granularity: Granularity, norm: float,
) -> None:  # fmt: skip
    chosen = scheme(bits=4, granularity=granularity)
    start = draft(store(proto), photos[:2], chosen)
    refined = WeightClipping(norm=norm)(start, bench(start, chosen, photos))
    assert refined.draft.model == start.model
    before = {layer.label: layer for layer in layers_of(start)}
    saved, shrunk, scales = 0.0, 0, 0
    biases = {line.node: line for line in refined.draft.plan.biases}
    for layer in layers_of(refined.draft):
        old, new = (errors(layer.weight, one.line.grid, norm) for one in (before[layer.label], layer))
        assert np.all(new <= old * (1 + 1e-6) + 1e-15)
        saved += float((old - new).sum())
        factors = np.asarray(layer.line.grid.scale) / np.asarray(before[layer.label].line.grid.scale)
        assert np.all((factors >= 0.4 - 1e-6) & (factors <= 1))
        shrunk += int(np.sum(factors < 1))
        scales += len(factors)
        if layer.label in biases and layer.grid is not None:
            product = np.float32(layer.grid.scale[0]) * np.asarray(layer.line.grid.scale, dtype=np.float32)
            assert biases[layer.label].scale == tuple(product.tolist())
    assert saved > 0
    assert refined.detail == f"{shrunk} of {scales} weight scales shrunk"


def test_weights_on_a_grid_keep_exactly_their_scales(
    store: Store, photos: Photos, scheme: Schemes, bench: Benches, tmp_path: Path
) -> None:
    for bits in (4, 8):
        start = draft(store(graphs.depthwise_block()), photos[:2], scheme(bits=bits))
        grids = {layer.line.tensor: (layer.line.grid, layer.weight) for layer in layers_of(start)}
        stored = {name: grid.dequantize(grid.quantize(weight)) for name, (grid, weight) in grids.items()}
        start = replace(start, model=with_constants(start.model, stored, tmp_path / "on_grid.onnx"))
        refined = WeightClipping()(start, bench(start, scheme(bits=bits), photos))
        assert refined.draft == start
        assert refined.detail.startswith("0 of ")


def test_the_factor_is_the_best_of_those_tried(store: Store, photos: Photos, scheme: Schemes) -> None:
    layers = layers_of(draft(store(graphs.concat_decoder()), photos[:2], scheme(bits=3)))

    @given(index=st.integers(0, len(layers) - 1), factors=st.lists(st.floats(0.2, 0.99), min_size=1, max_size=6))
    @settings(max_examples=30, deadline=None)
    def law(*, index: int, factors: list[float]) -> None:
        layer = layers[index]
        whole = layer.line.grid
        found = clipped(layer, np.array(factors), 2.0)
        assert (found.zero_point, found.format, found.axis) == (whole.zero_point, whole.format, whole.axis)
        tried = [
            errors(
                layer.weight,
                replace(whole, scale=tuple(float(np.float32(one) * np.float32(factor)) for one in whole.scale)),
            )
            for factor in (*factors, 1.0)
        ]
        least = np.min(tried, axis=0)
        assert np.all(errors(layer.weight, found) <= least * 1.002 + 1e-12)

    law()


@pytest.mark.parametrize(
    ("wrong", "found"), [({"norm": 0.0}, "norm"), ({"smallest": 0.0}, "smallest"), ({"smallest": 1.1}, "smallest")]
)
def test_settings_are_checked(wrong: dict[str, float], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        WeightClipping(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps"):
        WeightClipping(steps=0)
