"""Learned rounding: what it gains, that it stays on the grid, repeats, goes on where it stopped, gives up well."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.findings import Findings
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import CalibrationError, QuantizationError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.learning import rounding
from depthdeploy.quantization.learning.adaround import AdaRound
from depthdeploy.quantization.learning.rounding import Course
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import write_pairs
from depthdeploy.quantization.workbench import Deadline, Draft, Refined, Workbench
from depthdeploy.testing.graph_text import build

Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Photo = NDArray[np.float32]

SMALL = AdaRound(epochs=40, batch_size=4, positions=64, learning_rate=0.02)


@dataclass(frozen=True)
class Photographs:
    """Smooth images: neighbours and colours are correlated, as in photographs."""

    count: int = 12
    digest: str = "smooth"
    start: int = 0

    def __len__(self) -> int:
        return self.count

    def first(self, count: int | None = None) -> Iterator[Photo]:
        return islice((self._one(self.start + index) for index in range(self.count)), count)

    @staticmethod
    def _one(index: int) -> Photo:
        rng = np.random.default_rng([11, index])
        grey = rng.standard_normal((8, 8)).repeat(2, 0).repeat(2, 1)
        colours = 1 + 0.3 * rng.standard_normal((3, 1, 1))
        return (grey * colours + 0.1 * rng.standard_normal((3, 16, 16)))[None].astype(np.float32)


def network() -> onnx.ModelProto:
    """Every kind of layer: dense, depthwise, transposed, with and without activation function, bias and not."""
    return build(
        """learner (float[1,3,16,16] image) => (float[1,1,16,16] depth)
        <float[12,3,3,3] w1, float[12] b1, float[12,1,3,3] w2, float[12] b2, float[12,8,2,2] w3, float[8] b3,
         float[1,8,1,1] w4, float zero = {0}, float six = {6}>
        { conv = Conv <strides=[2,2], pads=[1,1,1,1]> (image, w1, b1)
          act1 = Relu (conv)
          depthwise = Conv <group=12, pads=[1,1,1,1]> (act1, w2, b2)
          act2 = Clip (depthwise, zero, six)
          large = ConvTranspose <strides=[2,2]> (act2, w3, b3)
          act3 = Relu (large)
          depth = Conv (act3, w4) }"""
    )


@dataclass(frozen=True)
class Case:
    """A draft and where to work."""

    draft: Draft
    bench: Workbench

    def __call__(self, step: AdaRound = SMALL, folder: str = "work", **changes: Any) -> Draft:
        return self.refined(step, folder, **changes).draft

    def refined(self, step: AdaRound = SMALL, folder: str = "work", **changes: Any) -> Refined:
        place = self.bench.folder / folder
        place.mkdir(exist_ok=True)
        return step(self.draft, replace(self.bench, folder=place, **changes))


@pytest.fixture
def case(store: Store, scheme: Schemes, tmp_path: Path) -> Case:
    return _case(store(network()), scheme(bits=4), tmp_path)


def _case(model: OnnxModel, chosen: Scheme, folder: Path) -> Case:
    photographs = Photographs()
    statistics = observe(
        model, photographs.first(), observer=parse_observer("minmax"), calibration_digest="smooth", images=12
    )
    draft = Draft(model, statistics, make_plan(model, statistics, chosen), Findings())
    return Case(draft, Workbench(model, chosen, photographs, folder))


def _noise(draft: Draft, reference: OnnxModel, folder: Path) -> float:
    """Power of the error at the output, on photographs that were never seen."""
    found = OnnxSession(write_pairs(draft.model, draft.plan, folder / "pairs.onnx").path, exact=True)
    expected = OnnxSession(reference.path)
    photos = list(Photographs(start=100).first())
    return float(np.mean([np.square(found.predict(photo) - expected.predict(photo)).mean() for photo in photos]))


def _constants(draft: Draft) -> dict[str, Photo]:
    graph = topology.load(draft.model).graph
    return {name: np.asarray(topology.constant(value)) for name, value in graph.initializers.items()}


def test_it_beats_rounding_to_nearest_on_photographs_never_seen(case: Case, tmp_path: Path) -> None:
    reference = case.draft.model
    nearest = _noise(case.draft, reference, tmp_path)
    assert _noise(case(), reference, tmp_path) < 0.9 * nearest


def test_weights_are_on_their_grids_one_step_away_at_most(case: Case) -> None:
    before, learned = _constants(case.draft), case()
    after = _constants(learned)
    assert learned.plan == case.draft.plan
    assert len(learned.plan.weights) == 4
    moved = 0
    for line in learned.plan.weights:
        weight, start = after[line.tensor], before[line.tensor]
        assert np.array_equal(line.grid.dequantize(line.grid.quantize(weight)), weight)
        shape = [-1 if dim == line.grid.axis else 1 for dim in range(weight.ndim)]
        scale = np.reshape(line.grid.scale, shape)
        assert (np.abs(weight - start) < scale * (1 + 1e-5)).all()
        moved += int(np.count_nonzero(line.grid.quantize(weight) != line.grid.quantize(start)))
    assert moved > 0
    assert any(not np.array_equal(after[name], before[name]) for name in ("b1", "b2", "b3"))


def test_biases_stay_when_they_are_not_to_learn(case: Case) -> None:
    before, after = _constants(case.draft), _constants(case(replace(SMALL, train_bias=False)))
    assert all(np.array_equal(after[name], before[name]) for name in ("b1", "b2", "b3"))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(case: Case) -> None:
    one, two, other = case(folder="one"), case(folder="two"), case(folder="three", seed=1)
    assert one.model.path.read_bytes() == two.model.path.read_bytes()
    assert one.model.sha256 != other.model.sha256


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(case: Case) -> None:
    whole = case(folder="whole")
    iterations = SMALL.epochs * 3

    def interrupt(done: int, total: int) -> None:
        if done >= 2 * iterations:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        case(folder="cut", progress=interrupt)
    stored = sorted(path.name for path in (case.bench.folder / "cut").glob("layer-*.npz"))
    assert stored == ["layer-0000.npz", "layer-0001.npz"]
    assert not list((case.bench.folder / "cut").glob("*.bin"))
    times = [path.stat().st_mtime_ns for path in sorted((case.bench.folder / "cut").glob("layer-*.npz"))]
    assert case(folder="cut").model.path.read_bytes() == whole.model.path.read_bytes()
    again = [path.stat().st_mtime_ns for path in sorted((case.bench.folder / "cut").glob("layer-*.npz"))]
    assert again[:2] == times


def test_what_lies_there_of_other_settings_is_not_taken(case: Case) -> None:
    first = case()
    second = case(replace(SMALL, epochs=10))
    assert second.model.sha256 == case(replace(SMALL, epochs=10), folder="fresh").model.sha256
    assert second.model.sha256 != first.model.sha256


def test_a_broken_file_is_learned_anew(case: Case) -> None:
    whole = case()
    expected = whole.model.path.read_bytes()
    (case.bench.folder / "work" / "layer-0001.npz").write_bytes(b"PK\x03\x04 torn")
    assert case().model.path.read_bytes() == expected


def test_files_and_memory_give_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    held = case(folder="memory").model.path.read_bytes()
    monkeypatch.setattr("depthdeploy.quantization.learning.quantized_stream._BUDGET", 0)
    assert case(folder="files").model.path.read_bytes() == held


def test_a_layer_that_diverges_is_rolled_back_and_named(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    step = rounding.Learner.step

    def diverging(self: rounding.Learner, number: int) -> None:
        step(self, number)
        if self._problem.weight.shape[:2] == (12, 1):
            self._logit.data.fill_(float("nan"))

    monkeypatch.setattr(rounding.Learner, "step", diverging)
    done = case.refined()
    (told,) = done.degradations
    assert "rolled back to nearest rounding" in told
    assert "depthwise" in told
    before, after = _constants(case.draft), _constants(done.draft)
    line = next(one for one in case.draft.plan.weights if one.node == "depthwise")
    assert np.array_equal(after["w2"], line.grid.dequantize(line.grid.quantize(before["w2"])))
    assert np.isfinite(after["b2"]).all()
    assert "4 layers learned" in done.detail


def test_a_time_budget_cuts_iterations_and_says_so(case: Case) -> None:
    step = replace(SMALL, epochs=100_000)
    done = case.refined(step, deadline=Deadline.within(1.5))
    assert any("time budget" in text or "no time was left" in text for text in done.degradations)
    none = case.refined(step, folder="none", deadline=Deadline.within(0.0))
    assert none.degradations == ("4 layers rounded to nearest, no time was left: conv, depthwise, large, depth",)
    for line in none.draft.plan.weights:
        weight, start = _constants(none.draft)[line.tensor], _constants(case.draft)[line.tensor]
        assert np.array_equal(weight, line.grid.dequantize(line.grid.quantize(start)))


def test_four_bits_alone(store: Store, scheme: Schemes, tmp_path: Path) -> None:
    case = _case(store(network()), scheme(bits=8), tmp_path)
    done = case.refined(replace(SMALL, mode="train_4bit"))
    assert done.draft == case.draft
    assert "no layer learned: mode train_4bit" in done.detail


def test_weights_that_are_rounded_already_keep_their_integers(case: Case) -> None:
    once = case()
    again = replace(case, draft=once).refined(folder="again")
    before, after = _constants(once), _constants(again.draft)
    assert all(np.array_equal(after[line.tensor], before[line.tensor]) for line in once.plan.weights)
    assert "4 had their weights on the grid already" in again.detail


def test_memory_that_does_not_suffice_names_a_batch_that_fits(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    step = rounding.Learner.step

    def limited(self: rounding.Learner, number: int) -> None:
        if self._course.rows > 64:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.")
        step(self, number)

    monkeypatch.setattr(rounding.Learner, "step", limited)
    with pytest.raises(QuantizationError, match=r"conv does not fit.*256 rows.*Set batch_size to 1 or less"):
        case()


def test_an_operator_without_gradients_is_named(store: Store, scheme: Schemes, tmp_path: Path) -> None:
    text = """odd (float[1,3,16,16] image) => (float[1,4,16,16] depth) <float[4,3,1,1] w, float[4,4,1,1] v>
        { conv = Conv (image, w)
          odd = Hardmax <axis=1> (conv)
          depth = Conv (odd, v) }"""
    case = _case(store(build(text)), scheme(bits=4), tmp_path)
    with pytest.raises(QuantizationError, match=r"Hardmax \(odd\)"):
        case()


def test_no_photographs(case: Case) -> None:
    with pytest.raises(CalibrationError, match="no photograph"):
        case(photographs=Photographs(count=0))


def test_an_activation_that_is_not_finite_is_named(case: Case) -> None:
    @dataclass(frozen=True)
    class Broken(Photographs):
        def first(self, count: int | None = None) -> Iterator[Photo]:
            return (photo * np.float32("nan") for photo in Photographs.first(self, count))

    with pytest.raises(QuantizationError, match=r"float layer conv gives NaN.*numbers 0 to"):
        case(photographs=Broken())


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"warmup": 1.0}, {"learning_rate": float("nan")}, {"weight": -1.0}, {"b_range": (0.0, 2.0)}],
)
def test_settings_that_mean_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AdaRound(**wrong)  # type: ignore[arg-type]


def test_beta_waits_for_the_warmup_then_falls() -> None:
    course = Course(100, 1, 0.01, 0.2, 0.5, 0.01, (20.0, 2.0), train_bias=True)
    betas = [course.beta(step) for step in range(100)]
    assert betas[:20] == [None] * 20
    assert betas[20] == betas[59] == 20.0
    falling = [beta for beta in betas[60:] if beta is not None]
    assert all(one >= two for one, two in itertools.pairwise(falling))
    assert falling[-1] == pytest.approx(2.0, abs=0.05)


def test_iterations_are_epochs_times_batches() -> None:
    task = AdaRound(epochs=320, batch_size=32)._task(1024)
    assert (task.course.iterations, task.batch) == (320 * 32, 32)
    assert AdaRound(epochs=3, batch_size=32)._task(33).course.iterations == 6
