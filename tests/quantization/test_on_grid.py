"""Weights on our grids: a max-abs quantizer finds our integers, bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, Grid, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.constants import with_constants, with_grids
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.on_grid import MaxAbs, anchored, check_on_grid, on_grid
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.workbench import Draft
from depthdeploy.testing import graphs

Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Photos = list[NDArray[np.float32]]

NETWORKS = [graphs.depthwise_block(), graphs.concat_decoder(), graphs.transposed_decoder(), graphs.residual_block()]
EASY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def draft(model: OnnxModel, photos: Photos, scheme: Scheme) -> Draft:
    statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
    return Draft(model, statistics, make_plan(model, statistics, scheme))


def stretched(one: Draft, factors: NDArray[np.float64]) -> Draft:
    """Every scale of every weight times a factor of its own, as a search or a bias would leave it."""
    grids = {}
    for line in one.plan.weights:
        scale = np.asarray(line.grid.scale) * np.resize(factors, len(line.grid.scale))
        grids[line.node] = replace(line.grid, scale=tuple(scale.astype(np.float32).tolist()))
    return replace(one, plan=with_grids(one.model, one.plan, weights=grids))


def constants(path: Path) -> dict[str, NDArray[np.generic]]:
    return {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("proto", NETWORKS, ids=lambda proto: proto.graph.name)
@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize("bits", [8, 7, 4])
def test_a_max_abs_quantizer_finds_our_integers(
    store: Store, photos: Photos, scheme: Schemes, tmp_path: Path, *,
    proto: onnx.ModelProto, granularity: Granularity, bits: int,
) -> None:  # fmt: skip
    rough = draft(store(proto), photos[:2], scheme(bits=bits, granularity=granularity))
    done = anchored(stretched(rough, np.array([1.0, 1.3, 0.7, 2.9])), tmp_path / "anchored.onnx")
    check_on_grid(on_grid(done, tmp_path / "on_grid.onnx"), done)


def test_the_graph_on_its_grid_quantizes_to_the_same_graph(
    store: Store, photos: Photos, scheme: Schemes, legal: Callable[[OnnxModel], LegalModel], tmp_path: Path
) -> None:
    done = anchored(draft(store(graphs.residual_block()), photos, scheme()), tmp_path / "anchored.onnx")
    written = on_grid(done, tmp_path / "on_grid.onnx")
    first = apply_plan(legal(done.model), done.plan, tmp_path / "first.onnx")
    second = apply_plan(legal(written), done.plan, tmp_path / "second.onnx")
    before, after = constants(first.model.path), constants(second.model.path)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    stored = constants(written.path)
    for bias in done.plan.biases:
        steps = stored[bias.tensor].astype(np.float64) / np.asarray(bias.scale)
        np.testing.assert_allclose(steps, np.rint(steps), rtol=2**-22, atol=1e-3)


@EASY
@given(
    factors=st.lists(st.floats(0.3, 30.0), min_size=1, max_size=8),
    magnitude=st.floats(1e-6, 1e6),
    seed=st.integers(0, 2**16),
)
def test_whatever_the_scales_were_anchoring_gives_the_integers(
    store: Store, photos: Photos, scheme: Schemes, tmp_path: Path, *, factors: list[float], magnitude: float, seed: int
) -> None:
    model = store(graphs.depthwise_block())
    values = constants(model.path)
    rng = np.random.default_rng(seed)
    drawn = (magnitude * rng.standard_normal(values["w_project"].shape) ** 3).astype(np.float32)
    model = with_constants(model, {"w_project": drawn}, tmp_path / "drawn.onnx")
    done = anchored(stretched(draft(model, photos[:1], scheme()), np.array(factors)), tmp_path / "anchored.onnx")
    check_on_grid(on_grid(done, tmp_path / "on_grid.onnx"), done)


@given(
    integers=st.lists(st.integers(-127, 127), min_size=1, max_size=30),
    anchor=st.sampled_from([-127, 127]),
    scale=st.floats(2.0**-60, 2.0**60, width=32),
)
def test_anchored_multiples_survive_max_abs(integers: list[int], anchor: int, scale: float) -> None:
    ours = np.array([[*integers, anchor]])
    real = (ours * np.float64(np.float32(scale))).astype(np.float32)
    rule = MaxAbs()
    assert np.array_equal(rule.quantize(real), ours)
    assert np.array_equal(rule.quantize(real.astype(np.float64)), ours)


@pytest.mark.parametrize(
    "rule", [MaxAbs(127.0, -127), MaxAbs(127.5, -127), MaxAbs(128.0, -127), MaxAbs(128.0, -128)], ids=str
)
def test_other_divisors(store: Store, photos: Photos, scheme: Schemes, tmp_path: Path, rule: MaxAbs) -> None:
    rough = draft(store(graphs.residual_block()), photos[:2], scheme())
    if rule.lowest == -128:  # this integer is in an asymmetric format only
        wide = NumberFormat(8, True, False, Granularity.CHANNEL)
        grids = {line.node: replace(line.grid, format=wide) for line in rough.plan.weights}
        rough = replace(rough, plan=with_grids(rough.model, rough.plan, weights=grids))
    done = anchored(rough, tmp_path / "anchored.onnx", rule)
    check_on_grid(on_grid(done, tmp_path / "on_grid.onnx", rule), done, rule)


def test_learned_rounding_keeps_its_integers_but_one_per_channel(
    store: Store, photos: Photos, scheme: Schemes, tmp_path: Path
) -> None:
    """Weights on a grid whose largest was rounded down: the anchor moves by one step, nothing else does."""
    rough = draft(store(graphs.residual_block()), photos[:2], scheme())
    learned: dict[str, NDArray[np.floating]] = {}
    values = constants(rough.model.path)
    for line in rough.plan.weights:
        weight = values[line.tensor].astype(np.float32)
        learned[line.tensor] = line.grid.dequantize(np.clip(line.grid.quantize(weight), -126, 126))
    held = replace(rough, model=with_constants(rough.model, learned, tmp_path / "learned.onnx"))
    done = anchored(held, tmp_path / "anchored.onnx", learned=True)
    now = constants(done.model.path)
    assert [line.grid for line in done.plan.weights] == [line.grid for line in held.plan.weights]
    for line in held.plan.weights:
        before, after = (line.grid.quantize(one[line.tensor].astype(np.float32)) for one in (learned, now))
        difference = np.abs(after.astype(int) - before).reshape(len(line.grid.scale), -1)
        assert np.all(difference.sum(axis=1) == 1)
    check_on_grid(on_grid(done, tmp_path / "on_grid.onnx"), done)


def test_a_dead_channel_with_a_large_bias_keeps_its_function(
    store: Store, photos: Photos, scheme: Schemes, tmp_path: Path
) -> None:
    model = store(graphs.residual_block())
    weight = np.array(constants(model.path)["w_stem"])
    weight[0] *= 1e-6
    bias = np.array(constants(model.path)["b_stem"])
    bias[0] = 3.0
    model = with_constants(model, {"w_stem": weight, "b_stem": bias}, tmp_path / "dead.onnx")
    rough = draft(model, photos[:2], scheme())
    with pytest.raises(QuantizationError, match="1 channels of w_stem of stem have no anchor"):
        on_grid(rough, tmp_path / "no.onnx")
    done = anchored(rough, tmp_path / "anchored.onnx")
    check_on_grid(on_grid(done, tmp_path / "on_grid.onnx"), done)
    moved = np.array(constants(done.model.path)["w_stem"])
    assert np.abs(moved[0]).max() * np.abs(photos[0]).max() * weight[0].size < 1e-3 * bias[0]


def test_what_is_not_on_the_grid_is_named(store: Store, photos: Photos, scheme: Schemes, tmp_path: Path) -> None:
    rough = draft(store(graphs.residual_block()), photos[:2], scheme())
    coarse = stretched(rough, np.array([1.5]))
    with pytest.raises(QuantizationError, match="have no anchor"):
        on_grid(coarse, tmp_path / "no.onnx")
    with pytest.raises(QuantizationError, match=r"other integers at \d+ places: stem \(\d+ of \d+ in float32\)"):
        check_on_grid(rough.model, coarse)
    wrong = NumberFormat(8, False, False, Granularity.CHANNEL)
    first = rough.plan.weights[0]
    grid = Grid(first.grid.scale, tuple(3 for _ in first.grid.scale), wrong, first.grid.axis)
    plan = replace(rough.plan, weights=(replace(first, grid=grid),))
    with pytest.raises(QuantizationError, match="not around 0"):
        on_grid(replace(rough, plan=plan), tmp_path / "no.onnx")
    with pytest.raises(QuantizationError, match="cannot reach the integer"):
        anchored(coarse_negative(rough, tmp_path), tmp_path / "no.onnx", MaxAbs(128.0, -128))


def coarse_negative(one: Draft, folder: Path) -> Draft:
    """With weights below 0 only, and a symmetric format."""
    values = constants(one.model.path)
    weight = -np.abs(values["w_stem"]).astype(np.float32)
    return replace(one, model=with_constants(one.model, {"w_stem": weight}, folder / "negative.onnx"))


def test_a_rule_makes_sense() -> None:
    with pytest.raises(ValueError, match="divisor"):
        MaxAbs(130.0)
