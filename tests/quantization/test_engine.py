"""A recipe runs step by step: what each step sees, what is timed and told, how a time budget is shared."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from depthdeploy.core.findings import ParetoPoint
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.recipe import Recipe, Step
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import CalibrationError
from depthdeploy.graph_file import read_graph, write_graph
from depthdeploy.quantization import algorithms, engine
from depthdeploy.quantization.algorithms import PREPARATIONS, REFINEMENTS, Algorithm
from depthdeploy.quantization.constants import with_constants
from depthdeploy.quantization.workbench import Deadline, Draft, Prepared, Refined, Workbench
from depthdeploy.testing.graphs import residual_block

Legal = Callable[[OnnxModel], LegalModel]


@dataclass(frozen=True, slots=True)
class Rename:
    """A preparation: the same graph under another document string."""

    text: str = "prepared"

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        graph = read_graph(model.path)
        graph.doc_string = f"{graph.doc_string or ''} {self.text}"
        out = bench.folder / "model.onnx"
        return Prepared(replace(model, path=out, sha256=write_graph(graph, out)), f"renamed {self.text}")


@dataclass(frozen=True, slots=True)
class Grow:
    """A refinement: one constant becomes larger."""

    factor: float = 1.01

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        assert math.isinf(bench.deadline.ends)
        assert draft.findings.steps == ()
        node = next(line for line in draft.plan.weights)
        graph = read_graph(draft.model.path)
        value = graph.graph.initializers[node.tensor].const_value
        assert value is not None
        model = with_constants(draft.model, {node.tensor: value.numpy() * self.factor}, bench.folder / "model.onnx")
        point = ParetoPoint((), 1.0, 20.0, 99.0, chosen=True)
        findings = replace(draft.findings, pareto=(point,))
        return Refined(replace(draft, model=model, findings=findings), f"{node.tensor} grew")


#: Seconds that the learning steps were given.
given: list[float] = []


@dataclass(frozen=True, slots=True)
class Learn:
    """A refinement that learns: it takes a tenth of a second and says what it was given."""

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        given.append(bench.deadline.left)
        time.sleep(0.1)
        return Refined(draft, "learned", ("epochs cut from 10 to 3",))


@dataclass(frozen=True, slots=True)
class Photographs:
    """Tensors in the place of calibration photographs."""

    tensors: Sequence[NDArray[np.float32]]
    digest: str = "photographs"

    def __len__(self) -> int:
        return len(self.tensors)

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        return iter(self.tensors[:count])


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("toy_algorithms")
    for cls in (Rename, Grow, Learn):
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, "toy_algorithms", module)
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    sys.modules["torch"].__spec__ = sys.__spec__  # found, and never used
    rename = {"rename": Algorithm("rename", "toy_algorithms", "Rename")}
    others = {
        "grow": Algorithm("grow", "toy_algorithms", "Grow"),
        "learn": Algorithm("learn", "toy_algorithms", "Learn", learns=True),
    }
    monkeypatch.setattr(algorithms, "PREPARATIONS", {**PREPARATIONS, **rename})
    monkeypatch.setattr(algorithms, "REFINEMENTS", {**REFINEMENTS, **others})
    given.clear()


@pytest.fixture(name="bench")
def _bench(
    store: Callable[..., OnnxModel],
    scheme: Callable[..., Scheme],
    photos: list[NDArray[np.float32]],
    tmp_path: Path,
) -> Workbench:
    folder = tmp_path / "bench"
    folder.mkdir()
    return Workbench(store(residual_block()), scheme(), Photographs(photos[:3]), folder)


RECIPE = Recipe(
    "toy",
    "Every kind of step.",
    prepare=(Step("rename", {"text": "one"}), Step("rename", {"text": "two"})),
    observer="minmax",
    refine=(Step("grow"), Step("grow", {"factor": 2.0})),
)


def test_steps_run_in_their_order_and_are_told(bench: Workbench, legal: Legal) -> None:
    quantized = engine.quantize(legal(bench.reference), RECIPE, bench)
    steps = quantized.findings.steps
    assert [record.step for record in steps] == ["rename(text=one)", "rename(text=two)", "grow", "grow(factor=2.0)"]
    assert [record.detail for record in steps][:2] == ["renamed one", "renamed two"]
    assert all(record.seconds > 0 and record.device == "" for record in steps)
    assert len(quantized.findings.pareto) == 1
    assert quantized.recipe == "toy"
    assert quantized.model.path == bench.folder / "model.onnx"
    prepared = read_graph(quantized.legal.model.path)
    assert prepared.doc_string == " one two"
    plan = quantized.plan
    assert plan is not None
    before = read_graph(bench.reference.path).graph.initializers[plan.weights[0].tensor].const_value
    after = prepared.graph.initializers[plan.weights[0].tensor].const_value
    assert before is not None
    assert after is not None
    np.testing.assert_allclose(after.numpy(), before.numpy() * 1.01 * 2, rtol=1e-5)


def test_the_same_seed_gives_the_same_bytes(bench: Workbench, legal: Legal, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first = engine.quantize(legal(bench.reference), RECIPE, bench)
    second = engine.quantize(legal(bench.reference), RECIPE, replace(bench, folder=other))
    assert first.model.path.read_bytes() == second.model.path.read_bytes()
    assert first.plan == second.plan


def test_a_recipe_without_algorithms_is_calibration_alone(bench: Workbench, legal: Legal) -> None:
    quantized = engine.quantize(legal(bench.reference), Recipe("plain", "x", observer="minmax"), bench)
    assert quantized.findings.steps == ()
    assert quantized.legal.model == bench.reference


def test_weights_of_fewer_bits(bench: Workbench, legal: Legal) -> None:
    recipe = Recipe("narrow", "x", observer="minmax", weight_bits=4)
    quantized = engine.quantize(legal(bench.reference), recipe, bench)
    assert quantized.plan is not None
    assert {line.grid.format.bits for line in quantized.plan.weights} == {4}
    assert quantized.plan.scheme == f"{bench.scheme.name}-w4"


def test_more_bits_than_the_target_has_stay_the_targets(bench: Workbench) -> None:
    assert engine.narrowed(bench.scheme, Recipe("wide", "x", weight_bits=8)) is bench.scheme


def test_the_budget_is_shared_among_what_is_still_to_learn(bench: Workbench, legal: Legal) -> None:
    calibrated = engine.calibrate(bench.reference, Recipe("x", "x", observer="minmax"), bench)
    recipe = Recipe("x", "x", observer="minmax", refine=(Step("learn"), Step("grow"), Step("learn")))
    own = replace(bench, deadline=Deadline.within(100.0), device="cpu")
    quantized = engine.finish(legal(bench.reference), calibrated, recipe, own)
    first, second = given
    assert 45 < first <= 50  # half of what there was
    assert 90 < second <= 99.9  # all that the first left
    learned = quantized.findings.steps[0]
    assert learned.device == "cpu"
    assert learned.degradations == ("epochs cut from 10 to 3",)
    assert learned.seconds >= 0.1


def test_without_a_budget_learning_has_no_end(bench: Workbench, legal: Legal) -> None:
    engine.quantize(legal(bench.reference), Recipe("x", "x", observer="minmax", refine=(Step("learn"),)), bench)
    assert given == [math.inf]


def test_results_depend_on_settings_formats_and_photographs(bench: Workbench) -> None:
    inputs = {
        str(engine.calibration_inputs(bench.reference, recipe, own))
        for recipe, own in (
            (RECIPE, bench),
            (replace(RECIPE, observer="percentile"), bench),
            (replace(RECIPE, prepare=(Step("rename"),)), bench),
            (RECIPE, replace(bench, seed=1)),
            (RECIPE, replace(bench, photographs=Photographs((), "others"))),
            (RECIPE, replace(bench, scheme=replace(bench.scheme, operators=frozenset({"Conv"})))),
        )
    }
    assert len(inputs) == 6
    same = replace(bench, scheme=replace(bench.scheme, name="another name", source="elsewhere"))
    assert str(engine.calibration_inputs(bench.reference, RECIPE, same)) in inputs


def test_too_few_photographs(bench: Workbench, legal: Legal) -> None:
    recipe = Recipe("many", "x", observer="minmax", images=4)
    with pytest.raises(CalibrationError, match="3 calibration photographs"):
        engine.quantize(legal(bench.reference), recipe, bench)
    assert engine.quantize(legal(bench.reference), recipe, bench, allow_few=True).plan is not None
