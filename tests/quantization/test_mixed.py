"""The sensitivity analysis and the search for the few nodes that need a wider form."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.fidelity import similarity
from depthdeploy.core.findings import ParetoPoint
from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.request import Drop
from depthdeploy.core.scheme import Escape, Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.constants import with_grids
from depthdeploy.quantization.mixed import MixedPrecision
from depthdeploy.quantization.noise import layers
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.sensitivity import SensitivityAnalysis
from depthdeploy.quantization.strip import Strip
from depthdeploy.quantization.topology import load
from depthdeploy.quantization.trial import Trials
from depthdeploy.quantization.workbench import Deadline, Draft, Workbench
from depthdeploy.testing import graphs

Array = NDArray[np.float32]
Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Legal = Callable[[OnnxModel], LegalModel]
Benches = Callable[..., tuple[Draft, Workbench]]

FP32 = Escape("fp32", None, 2.5, "test")
INT16 = Escape("int16", NumberFormat(16, False, False, Granularity.TENSOR, 16), 1.5, "test")


class Photographs:
    """Arrays in the place of a calibration set."""

    digest = "test"

    def __init__(self, arrays: list[Array]) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays)

    def first(self, count: int | None = None) -> Iterator[Array]:
        return iter(self._arrays[:count])


def chain() -> onnx.ModelProto:
    """Six convolutions. The fourth has one huge weight per output channel, on an input channel that is always 0."""
    proto = graphs.build(
        """
        chain (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[8,3,3,3] w1, float[8] b1, float[8,8,3,3] w2, float[8] b2, float[8,8,3,3] w3, float[8] b3,
         float[8,8,3,3] w4, float[8] b4, float[8,8,3,3] w5, float[8] b5, float[1,8,1,1] w6, float[1] b6>
        {
            c1 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1, b1)
            r1 = Relu (c1)
            c2 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (r1, w2, b2)
            r2 = Relu (c2)
            c3 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (r2, w3, b3)
            r3 = Relu (c3)
            c4 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (r3, w4, b4)
            r4 = Relu (c4)
            c5 = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (r4, w5, b5)
            r5 = Relu (c5)
            c6 = Conv <kernel_shape=[1,1]> (r5, w6, b6)
            depth = Relu (c6)
        }"""
    )
    arrays = {one.name: onnx.numpy_helper.to_array(one).copy() for one in proto.graph.initializer}
    arrays["w3"][0], arrays["b3"][0] = 0, 0
    arrays["w4"][:, 0, 1, 1] = 30.0
    arrays["w6"], arrays["b6"] = np.abs(arrays["w6"]), np.abs(arrays["b6"]) + 0.5
    for one in proto.graph.initializer:
        one.CopyFrom(onnx.numpy_helper.from_array(arrays[one.name], one.name))
    return proto


@pytest.fixture
def made(store: Store, photos: list[Array], scheme: Schemes, tmp_path: Path) -> Benches:
    """A draft of a graph, and a bench whose target has the given escapes."""

    def make(proto: onnx.ModelProto, *escapes: Escape, **settings: object) -> tuple[Draft, Workbench]:
        model = store(proto)
        statistics = observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))
        formats = replace(scheme(), escapes=escapes)
        bench = replace(Workbench(model, formats, Photographs(photos), tmp_path), **settings)  # type: ignore[arg-type]
        return Draft(model, statistics, make_plan(model, statistics, formats)), bench

    return make


def chosen(points: tuple[ParetoPoint, ...]) -> ParetoPoint:
    (one,) = [point for point in points if point.chosen]
    return one


def output_sqnr(draft: Draft, legal: Legal, folder: Path, photos: list[Array]) -> float:
    written = apply_plan(legal(draft.model), draft.plan, folder / "judged.onnx")
    ours, theirs = OnnxSession(draft.model.path), OnnxSession(written.model.path, exact=True)
    return float(np.mean([similarity(theirs.predict(photo), ours.predict(photo))[0] for photo in photos]))


def test_the_planted_layer_is_the_most_sensitive(made: Benches) -> None:
    draft, bench = made(chain())
    rows = SensitivityAnalysis()(draft, bench).draft.findings.sensitivity
    assert [row.node for row in rows] == ["image", "c1", "c2", "c3", "c4", "c5", "c6"]
    alone = {row.node: row.sqnr_alone_db for row in rows}
    assert min(alone, key=lambda node: alone[node]) == "c4"
    assert sorted(alone.values())[1] > alone["c4"] + 10
    assert [row.macs for row in rows][:2] == [0, 32 * 32 * 8 * 3 * 9]
    assert rows[3].sqnr_accumulated_db > rows[4].sqnr_accumulated_db + 10  # nothing is lost before the planted layer


@pytest.mark.parametrize("name", ["residual_block", "concat_decoder", "attention_with_nan_guard"])
def test_a_row_is_what_the_layers_own_lines_of_the_plan_do(
    made: Benches, legal: Legal, tmp_path: Path, photos: list[Array], name: str
) -> None:
    draft, bench = made(graphs.all_graphs()[name])
    rows = SensitivityAnalysis()(draft, bench).draft.findings.sensitivity
    measured = layers(Strip.of(load(draft.model)), draft.plan)
    assert [row.node for row in rows] == [layer.node for layer in measured]
    for row, layer in zip(rows, measured, strict=True):
        weights = tuple(line for line in draft.plan.weights if line.node == layer.node)
        grids = tuple(line for line in draft.plan.activations if line.tensor == layer.output)
        assert weights or grids
        alone = replace(draft.plan, weights=weights, biases=(), activations=grids)
        expected = output_sqnr(replace(draft, plan=alone), legal, tmp_path, photos)
        assert row.sqnr_alone_db == pytest.approx(expected, abs=0.05)


def test_what_has_gathered_at_the_end_is_the_whole_loss(
    made: Benches, legal: Legal, tmp_path: Path, photos: list[Array]
) -> None:
    draft, bench = made(graphs.concat_decoder())
    last = SensitivityAnalysis(images=4)(draft, bench).draft.findings.sensitivity[-1]
    assert last.sqnr_accumulated_db == pytest.approx(output_sqnr(draft, legal, tmp_path, photos[:4]), abs=0.01)


def test_exactly_the_planted_layer_leaves(made: Benches, legal: Legal, tmp_path: Path, photos: list[Array]) -> None:
    draft, bench = made(chain(), FP32)
    refined = MixedPrecision(sqnr_db=30.0)(draft, bench)
    findings = refined.draft.findings
    assert chosen(findings.pareto).escaped == ("c4",)
    assert (findings.escape, refined.degradations) == ("fp32", ())
    assert [line.reason for line in refined.draft.plan.floats if line.node == "c4"] == ["mixed precision: fp32"]
    assert output_sqnr(draft, legal, tmp_path, photos) < 20
    assert output_sqnr(refined.draft, legal, tmp_path, photos) > 30
    macs = {row.node: row.macs for row in findings.sensitivity}
    expected = 1 + 1.5 * macs["c4"] / sum(macs.values())
    assert chosen(findings.pareto).cost == pytest.approx(expected, rel=0.02)
    assert not list(tmp_path.glob("trial*"))


def test_the_users_limit_is_aimed_at(made: Benches) -> None:
    draft, bench = made(chain(), FP32, limits=(Drop("delta1", 1.0), Drop("ordinal", 2.0)))
    refined = MixedPrecision()(draft, bench)
    point = chosen(refined.draft.findings.pareto)
    assert refined.draft.findings.pareto[0].delta1 < 99 <= point.delta1
    assert point.escaped == ("c4",)
    assert refined.degradations == (
        "mixed precision did not aim at ordinal=2: calibration photographs have no labels",
    )  # fmt: skip


def test_a_limit_that_is_met_needs_nothing(made: Benches) -> None:
    draft, bench = made(graphs.residual_block(), FP32)
    refined = MixedPrecision(sqnr_db=10.0)(draft, bench)
    assert refined.draft.plan == draft.plan
    assert [(point.escaped, point.cost, point.chosen) for point in refined.draft.findings.pareto] == [((), 1.0, True)]
    assert not refined.degradations


@pytest.mark.parametrize("target", [40.0, 46.0, 60.0])
def test_more_time_on_the_curve_is_less_loss(made: Benches, target: float) -> None:
    draft, bench = made(graphs.depthwise_block(), FP32)
    points = MixedPrecision(sqnr_db=target)(draft, bench).draft.findings.pareto
    assert len(points) > 1
    assert points[0].escaped == ()
    for before, after in itertools.pairwise(points):
        assert after.cost >= before.cost
        assert after.sqnr_db > before.sqnr_db
    assert chosen(points).sqnr_db >= target


def test_wide_activations_do_not_help_weights(made: Benches) -> None:
    """The planted layer's weight stays in 8 bits: the search says that it did not arrive, and gives its best."""
    draft, bench = made(chain(), INT16)
    refined = MixedPrecision(sqnr_db=30.0)(draft, bench)
    assert len(refined.degradations) == 1
    assert "30 dB was not reached" in refined.degradations[0]
    best = chosen(refined.draft.findings.pareto)
    assert best.sqnr_db == max(point.sqnr_db for point in refined.draft.findings.pareto)
    assert best.sqnr_db < 30


def test_wide_activations_help_activations(made: Benches) -> None:
    draft, bench = made(graphs.residual_block(), INT16)
    before = chosen(MixedPrecision(sqnr_db=1.0)(draft, bench).draft.findings.pareto).sqnr_db
    refined = MixedPrecision(sqnr_db=before + 2)(draft, bench)
    assert not refined.degradations
    assert {line.grid.format.bits for line in refined.draft.plan.activations} == {8, 16}


def test_the_named_escape_is_taken_and_another_is_not_invented(made: Benches) -> None:
    draft, bench = made(chain(), INT16, FP32)
    assert MixedPrecision(sqnr_db=30.0, escape="fp32")(draft, bench).draft.findings.escape == "fp32"
    assert MixedPrecision(sqnr_db=1.0)(draft, bench).draft.findings.escape == "int16"
    with pytest.raises(QuantizationError, match=r"no wider form 'fp16'.*It has int16, fp32") as caught:
        MixedPrecision(sqnr_db=30.0, escape="fp16")(draft, bench)
    assert caught.value.remedy


def test_without_an_aim_or_a_wider_form_nothing_leaves(made: Benches) -> None:
    draft, bench = made(chain(), FP32)
    assert "no limit to aim at" in MixedPrecision()(draft, bench).degradations[0]
    draft, bench = made(chain())
    refined = MixedPrecision(sqnr_db=30.0)(draft, bench)
    assert "has no wider form" in refined.degradations[0]
    assert refined.draft == draft


def test_grids_that_the_draft_chose_are_kept(made: Benches) -> None:
    draft, bench = made(chain(), FP32)
    line = next(one for one in draft.plan.activations if one.tensor == "r1")
    other = replace(line.grid, scale=(line.grid.scale[0] * 0.75,))
    chosen_before = replace(draft, plan=with_grids(draft.model, draft.plan, activations={"r1": other}))
    refined = MixedPrecision(sqnr_db=25.0)(chosen_before, bench)
    assert any(point.escaped and point.chosen for point in refined.draft.findings.pareto)
    assert next(one.grid for one in refined.draft.plan.activations if one.tensor == "r1") == other


def test_an_ended_deadline_ends_the_search(made: Benches) -> None:
    draft, bench = made(graphs.depthwise_block(), FP32, deadline=Deadline(0.0))
    points = MixedPrecision(sqnr_db=60.0)(draft, bench).draft.findings.pareto
    assert len(points) <= 2


def test_nodes_that_had_to_follow_are_counted(made: Benches) -> None:
    """A sum with a float operand is float too: it stands among the nodes that left, and in their cost."""
    draft, bench = made(graphs.depthwise_block(), FP32)
    trials = Trials.of(draft, bench, FP32, images=2)
    point = trials.measure(frozenset({"project"}))
    assert point.escaped == ("project", "sum")
    assert point.cost == pytest.approx(1 + 1.5 * (16 * 8 + 8) / (3 * 8 + 8 * 16 + 16 * 9 + 16 * 8 + 8 + 8))


@pytest.mark.parametrize("settings", [{"images": 0}, {"sqnr_db": -1.0}])
def test_wrong_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="images is at least 1"):
        MixedPrecision(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="images is at least 1"):
        SensitivityAnalysis(images=0)
