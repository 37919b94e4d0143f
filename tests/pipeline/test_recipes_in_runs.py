"""A recipe in a whole run: what is stored and resumed, what targets share, what the report concedes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from PIL import Image

import depthdeploy
from depthdeploy import api
from depthdeploy.core.depth import DepthKind
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.progress import Progress, silent
from depthdeploy.core.report import StageRecord
from depthdeploy.core.request import CompileRequest, parse_duration
from depthdeploy.errors import CalibrationError, UsageError
from depthdeploy.graph_file import read_graph, write_graph
from depthdeploy.quantization import algorithms
from depthdeploy.quantization.algorithms import PREPARATIONS, REFINEMENTS, Algorithm
from depthdeploy.quantization.constants import with_constants
from depthdeploy.quantization.recipes import load_recipe
from depthdeploy.quantization.workbench import Draft, Prepared, Refined, Workbench
from depthdeploy.testing.graphs import residual_block

#: What ran, in this order.
ran: list[str] = []
#: Step -> an error that it raises once.
faults: dict[str, BaseException] = {}


@dataclass(frozen=True, slots=True)
class Rename:
    """A preparation: the same graph under another document string."""

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        ran.append("rename")
        graph = read_graph(model.path)
        graph.doc_string = "prepared"
        out = bench.folder / "model.onnx"
        return Prepared(replace(model, path=out, sha256=write_graph(graph, out)), "renamed")


@dataclass(frozen=True, slots=True)
class Touch:
    """A refinement: a bias becomes larger; it may be interrupted."""

    name: str = "touch"
    by: float = 0.5

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        ran.append(self.name)
        if self.name in faults:
            raise faults.pop(self.name)
        line = draft.plan.biases[0]
        value = read_graph(draft.model.path).graph.initializers[line.tensor].const_value
        assert value is not None
        model = with_constants(draft.model, {line.tensor: value.numpy() + self.by}, bench.folder / "model.onnx")
        return Refined(replace(draft, model=model), f"{self.name} touched", ())


@dataclass(frozen=True, slots=True)
class Learn:
    """A refinement that learns two layers and stores each."""

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        for layer in ("first", "second"):
            stored = bench.folder / f"{layer}.txt"
            if stored.exists():
                continue
            ran.append(layer)
            if layer in faults:
                raise faults.pop(layer)
            stored.write_text("learned")
        line = draft.plan.biases[0]
        value = read_graph(draft.model.path).graph.initializers[line.tensor].const_value
        assert value is not None
        model = with_constants(draft.model, {line.tensor: value.numpy() + 0.25}, bench.folder / "model.onnx")
        return Refined(replace(draft, model=model), "learned", ("epochs cut from 10 to 3",))


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("toy_algorithms")
    for cls in (Rename, Touch, Learn):
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, "toy_algorithms", module)
    rename = {"rename": Algorithm("rename", "toy_algorithms", "Rename")}
    others = {
        "touch": Algorithm("touch", "toy_algorithms", "Touch"),
        "learn": Algorithm("learn", "toy_algorithms", "Learn", learns=True),
    }
    preparations, refinements = {**PREPARATIONS, **rename}, {**REFINEMENTS, **others}
    monkeypatch.setattr(algorithms, "PREPARATIONS", preparations)
    monkeypatch.setattr(algorithms, "REFINEMENTS", refinements)
    monkeypatch.setattr("depthdeploy.quantization.recipes.PREPARATIONS", preparations)
    monkeypatch.setattr("depthdeploy.quantization.recipes.REFINEMENTS", refinements)
    ran.clear()
    faults.clear()


class Recorder:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[tuple[str, StageRecord]] = []
        self.remarks: list[str] = []

    def started(self, stage: str, target: str) -> Progress:
        return silent

    def finished(self, record: StageRecord, target: str) -> None:
        self.records.append((target, record))

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def failed(self, target: str, error: Exception) -> None:
        raise error

    def detail(self, stage: str) -> str:
        return next(record.detail for _, record in self.records if record.name == stage)


Ask = Callable[..., CompileRequest]


@pytest.fixture(name="ask")
def _ask(tmp_path: Path) -> Ask:
    """A request for a tiny network and twelve photographs, by the text of a recipe."""
    network = tmp_path / "tiny.onnx"
    onnx.save(residual_block(), network)
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for index in range(12):
        coarse = generator.integers(0, 255, size=(6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC).save(photos / f"{index:02}.png")

    def asked(steps: str, *, head: str = "", **more: object) -> CompileRequest:
        recipe = tmp_path / "mine.toml"
        recipe.write_text(f'summary = "x"\nobserver = "minmax"\n{head}\n{steps}')
        arguments: Mapping[str, object] = {
            "targets": ("onnxruntime:cpu-avx2",),
            "onnx": network,
            "output_kind": DepthKind.INVERSE_DEPTH,
            "calibration": f"folder:{photos}",
            "recipe": str(recipe),
            "until": "quantize",
            "out": tmp_path / "out",
            "cache": tmp_path / "cache",
        }
        return CompileRequest(**{**arguments, **more})  # type: ignore[arg-type]

    return asked


THREE = "\n".join(f'[[refine]]\nalgorithm = "touch"\nname = "{name}"' for name in ("one", "two", "three"))
ALL = f'[[prepare]]\nalgorithm = "rename"\n{THREE}'
LEARN = '[[refine]]\nalgorithm = "learn"'


def test_an_interrupted_recipe_goes_on_with_the_step_at_which_it_stopped(ask: Ask) -> None:
    request = ask(ALL)
    faults["two"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        depthdeploy.compile(request)
    assert ran == ["rename", "one", "two"]
    ran.clear()
    told = Recorder()
    (result,) = depthdeploy.compile(request, told).results
    assert result.error is None
    assert ran == ["two", "three"]
    assert told.detail("calibrate").startswith("rename; ")
    assert told.detail("quantize").startswith("touch, touch, touch; ")
    details = [record.detail for record in result.findings.steps]
    assert details == ["renamed", "one touched", "two touched", "three touched"]


def test_a_resumed_run_gives_the_bytes_of_one_that_was_not_interrupted(ask: Ask, tmp_path: Path) -> None:
    plain = ask(ALL, cache=tmp_path / "another", until="compile")
    interrupted = ask(ALL, until="compile")
    faults["two"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        depthdeploy.compile(interrupted)
    stored = []
    for request in (plain, interrupted):
        depthdeploy.compile(request)
        assert request.cache is not None
        (found,) = (request.cache / "stages" / "quantize").glob("*/model.onnx")
        stored.append(found.read_bytes())
    assert stored[0] == stored[1]


def test_what_learns_finds_its_own_folder_again(ask: Ask, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    request = ask(LEARN, device="cpu")
    faults["second"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        depthdeploy.compile(request)
    work = tmp_path / "cache" / "learning"
    assert [path.name for path in work.glob("*/*.txt")] == ["first.txt"]
    assert depthdeploy.compile(request).error is None
    assert ran == ["first", "second", "second"]
    assert list(work.iterdir()) == []


def test_what_an_interruption_leaves_can_be_cleared(ask: Ask, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    faults["second"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        depthdeploy.compile(ask(LEARN, device="cpu"))
    assert api.clear_cache(tmp_path / "cache") > 0
    assert not (tmp_path / "cache" / "learning").exists()


def test_a_change_runs_what_follows_it(ask: Ask) -> None:
    depthdeploy.compile(ask(ALL))
    ran.clear()
    depthdeploy.compile(ask(ALL.replace('name = "two"', 'name = "two"\nby = 0.75')))
    assert ran == ["two", "three"]


def test_a_default_that_is_written_out_changes_nothing(ask: Ask) -> None:
    depthdeploy.compile(ask(ALL))
    ran.clear()
    depthdeploy.compile(ask(ALL.replace('name = "two"', 'name = "two"\nby = 0.5')))
    assert ran == []


def test_targets_that_are_equal_in_all_that_matters_share_every_step(ask: Ask) -> None:
    pytest.importorskip("openvino")
    request = ask(ALL, targets=("onnxruntime:cpu-avx2", "openvino:cpu-avx2"))
    assert depthdeploy.compile(request, Recorder()).error is None
    assert ran == ["rename", "one", "two", "three"]


def test_the_report_concedes_what_was_asked_and_not_done(ask: Ask) -> None:
    pytest.importorskip("torch")
    told = Recorder()
    request = ask(LEARN, head="images = 100", until="evaluate", allow_few=True, device="cpu")
    (result,) = depthdeploy.compile(request, told).results
    assert result.report is not None
    few, cut = result.report.degradations
    assert "100 calibration photographs" in few
    assert "8 of" in few
    assert cut == "learn: epochs cut from 10 to 3"
    assert told.remarks.count(few) == 1
    assert few not in result.report.remarks
    assert [record.device for record in result.findings.steps] == ["cpu"]
    record = result.report.quantization
    assert record is not None
    assert (record.recipe, record.observer, record.findings) == ("mine.toml", "minmax", result.findings)


def test_fewer_photographs_than_a_recipe_is_meant_for(ask: Ask) -> None:
    with pytest.raises(CalibrationError, match=r"mine\.toml.*100 .*8 of the 12.*--allow-few-photographs"):
        depthdeploy.compile(ask("", head="images = 100"))
    assert depthdeploy.compile(ask("", head="images = 8")).error is None
    assert depthdeploy.compile(ask("", head="images = 100", precision="fp32")).error is None


def test_a_budget_is_another_result(ask: Ask) -> None:
    pytest.importorskip("torch")
    for budget, wanted in ((None, 2), (60.0, 4), (60.0, 4)):
        depthdeploy.compile(ask(LEARN, time_budget=budget, device="cpu"))
        assert len(ran) == wanted
    depthdeploy.compile(ask(THREE))
    ran.clear()
    depthdeploy.compile(ask(THREE, time_budget=60.0))
    assert ran == []  # nothing learns: a budget changes nothing


def test_an_observer_replaces_the_recipes(ask: Ask) -> None:
    told = Recorder()
    depthdeploy.compile(ask(THREE, observer="percentile:99.9"), told)
    assert "percentile(99.9)" in told.detail("calibrate")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), (" 10 m ", 600)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["90", "m", "0s", "-3m", "1d", "2 hours", ""])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="30m"):
        parse_duration(text)


def test_a_setting_is_refused_before_anything_runs(ask: Ask) -> None:
    told = Recorder()
    with pytest.raises(UsageError, match=r"mine\.toml: touch has no setting 'epochs'.*name, by"):
        depthdeploy.compile(ask('[[refine]]\nalgorithm = "touch"\nepochs = 3'), told)
    assert told.records == []


@pytest.mark.parametrize("recipe", ["minmax", "percentile", "fast"])
def test_without_torch_a_recipe_that_does_not_learn_works(ask: Ask, recipe: str, tmp_path: Path) -> None:
    for step in (*(own := load_recipe(recipe)).prepare, *own.refine):
        entry = {**PREPARATIONS, **REFINEMENTS}[step.algorithm]
        if importlib.util.find_spec(entry.module) is None:
            pytest.skip(f"{entry.module} is not there")
    request = ask("")
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from depthdeploy.cli.app import run\n"
        f"sys.exit(run(['compile', '--onnx', {str(request.onnx)!r}, '--output-kind', 'inverse-depth', '--target', "
        f"'onnxruntime:cpu-avx2', '--calib', {request.calibration!r}, '--recipe', {recipe!r}, '--until', 'quantize', "
        f"'--cache', {str(tmp_path / 'cache')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "quantize" in done.stdout
