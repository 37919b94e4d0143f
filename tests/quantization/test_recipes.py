"""Recipes are read strictly: every mistake is named with file and key, and what is allowed is said."""

import dataclasses
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest

from depthdeploy.core.recipe import Recipe, Setting, Step
from depthdeploy.errors import DepthdeployError, ToolchainMissing, UsageError
from depthdeploy.quantization import algorithms
from depthdeploy.quantization.algorithms import PREPARATIONS, REFINEMENTS, Algorithm
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.recipes import load_recipe, names, recipe_text

GOOD = """
summary = "Mine."
source = "a paper"
observer = "percentile:99.99"
images = 32
weight_bits = 4

[[prepare]]
algorithm = "equalize"

[[refine]]
algorithm = "adaround"
epochs = 20
learning_rate = 0.5
mode = "train_all"
train_bias = false
b_range = [20, 2]
"""


def _written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_everything_is_read(tmp_path: Path) -> None:
    settings: dict[str, Setting] = {
        "epochs": 20,
        "learning_rate": 0.5,
        "mode": "train_all",
        "train_bias": False,
        "b_range": (20, 2),
    }
    wanted = Recipe(
        name="mine.toml",
        summary="Mine.",
        prepare=(Step("equalize"),),
        observer="percentile:99.99",
        refine=(Step("adaround", settings),),
        images=32,
        weight_bits=4,
        source="a paper",
    )
    assert load_recipe(_written(tmp_path, GOOD)) == wanted


def test_what_is_not_said_is_nothing(tmp_path: Path) -> None:
    read = load_recipe(_written(tmp_path, 'summary = "x"\nobserver = "minmax"\n'))
    assert (read.prepare, read.refine, read.images, read.weight_bits, read.source) == ((), (), 1, None, "")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('summary = "Mine."', "", ["summary", "one line", "nothing"]),
        ('summary = "Mine."', "summary = 3", ["summary", "one line", "3"]),
        ('observer = "percentile:99.99"', "", ["observer", "nothing"]),
        ("images = 32", "imges = 32", ["imges", "unknown key", "images"]),
        ("images = 32", "images = 0", ["images", "from 1", "0"]),
        ("images = 32", "images = true", ["images", "whole number", "True"]),
        ("weight_bits = 4", "weight_bits = 9", ["weight_bits", "from 2 to 8", "9"]),
        ("weight_bits = 4", 'weight_bits = "4"', ["weight_bits", "whole number", "'4'"]),
        ("[[prepare]]", "[prepare]", ["prepare", "[[prepare]]"]),
        ('"equalize"', '"equalise"', ["prepare[0].algorithm", "equalize", "'equalise'"]),
        ('"equalize"', '"clip"', ["prepare[0].algorithm", "'clip'", "[[refine]]"]),
        ('"adaround"', '"equalize"', ["refine[0].algorithm", "'equalize'", "[[prepare]]"]),
        ('algorithm = "adaround"', "", ["refine[0].algorithm", "adaround", "nothing"]),
        ('algorithm = "adaround"', 'algorithm = ["adaround"]', ["refine[0].algorithm", "['adaround']"]),
        ("[20, 2]", "{ from = 20 }", ["refine[0].b_range", "list"]),
        ("[20, 2]", "[[20], [2]]", ["refine[0].b_range", "list"]),
        ('summary = "Mine."', "summary =", ["not TOML"]),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, before: str, after: str, words: list[str]) -> None:
    assert before in GOOD
    with pytest.raises(UsageError) as caught:
        load_recipe(_written(tmp_path, GOOD.replace(before, after)))
    for word in ("mine.toml", *words):
        assert word in str(caught.value)


def test_unknown_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe 'bst'.*best.*percentile"):
        load_recipe("bst")
    with pytest.raises(UsageError, match=r"absent\.toml cannot be read"):
        load_recipe(str(tmp_path / "absent.toml"))


def test_a_built_in_recipe_can_be_copied(tmp_path: Path) -> None:
    for name in names():
        copied = load_recipe(_written(tmp_path, recipe_text(name)))
        own = load_recipe(name)
        assert own.name == name
        assert (copied.prepare, copied.observer, copied.refine) == (own.prepare, own.observer, own.refine)


def test_the_recipe_of_the_guide_is_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/how-to/recipes.md").read_text(encoding="utf-8")
    _, _, block = guide.partition("```toml\n")
    read = load_recipe(_written(tmp_path, block.partition("```")[0]))
    assert (read.images, read.weight_bits, [step.algorithm for step in read.refine]) == (64, 4, ["adaround"])
    for name in (*names(), *PREPARATIONS, *REFINEMENTS):
        assert f"`{name}`" in guide


def test_the_expected_recipes_are_there() -> None:
    wanted = {"minmax", "percentile", "fast", "best", "best-w4", "hailo-study", "transformer"}
    assert set(names()) == wanted
    assert load_recipe("best-w4").weight_bits == 4
    assert load_recipe("hailo-study").images == 1024
    assert (load_recipe("percentile").prepare, load_recipe("percentile").refine) == ((), ())
    assert not algorithms.learns(load_recipe("fast"))
    assert algorithms.learns(load_recipe("best"))


def _complete(recipe: Recipe) -> bool:
    """Whether everything that a recipe names is there."""
    entries = [PREPARATIONS[step.algorithm] for step in recipe.prepare]
    entries += [REFINEMENTS[step.algorithm] for step in recipe.refine]
    try:
        parse_observer(recipe.observer)
    except UsageError:
        return False
    return all(_there(entry) for entry in entries)


def _there(entry: Algorithm) -> bool:
    try:
        return importlib.util.find_spec(entry.module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(
    "name",
    [
        name
        if _complete(load_recipe(name))
        else pytest.param(name, marks=pytest.mark.xfail(strict=True, reason="an algorithm of it is not there"))
        for name in names()
    ],
)
def test_every_built_in_recipe_resolves(name: str) -> None:
    pytest.importorskip("torch")
    recipe = load_recipe(name)
    parse_observer(recipe.observer)
    algorithms.check(recipe)


@pytest.mark.parametrize("entry", [*PREPARATIONS.values(), *REFINEMENTS.values()], ids=lambda entry: entry.name)
def test_an_algorithm_is_made_from_a_step_without_settings(entry: Algorithm) -> None:
    if not _there(entry):
        pytest.skip(f"{entry.module} is not there")
    if entry.learns:
        pytest.importorskip("torch")
    make = algorithms.preparation if entry.name in PREPARATIONS else algorithms.refinement
    made = make(Step(entry.name))
    assert type(made).__name__ == entry.cls
    defaults = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}  # type: ignore[arg-type]
    said = {name: value for name, value in defaults.items() if value is not None}
    assert make(Step(entry.name, said)) == made  # every setting can be written in a recipe


@dataclass(frozen=True, slots=True)
class Toy:
    """An algorithm with every kind of setting."""

    epochs: int = 3
    rate: float = 0.1
    mode: Literal["fast", "slow"] = "fast"
    bias: bool = True
    span: tuple[float, float] = (20.0, 2.0)
    layers: tuple[str, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"a rate is positive, got {self.rate}")


@pytest.fixture(name="toy")
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("toy_algorithm")
    module.Toy = Toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_algorithm", module)
    entry = Algorithm("toy", "toy_algorithm", "Toy")
    monkeypatch.setattr(algorithms, "REFINEMENTS", {**REFINEMENTS, "toy": entry})


@pytest.mark.usefixtures("toy")
def test_settings_become_fields() -> None:
    made = algorithms.refinement(
        Step(
            "toy", {"epochs": 5, "rate": 1, "mode": "slow", "bias": False, "span": (4, 1), "layers": ("a",), "limit": 2}
        )
    )
    assert made == Toy(5, 1.0, "slow", bias=False, span=(4.0, 1.0), layers=("a",), limit=2)  # type: ignore[comparison-overlap]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": 5}, ["toy has no setting 'epoch'", "epochs, rate, mode"]),
        ({"epochs": 5.5}, ["epochs is 5.5", "a whole number"]),
        ({"epochs": True}, ["epochs is True", "a whole number"]),
        ({"rate": "much"}, ["rate is 'much'", "a number"]),
        ({"rate": -1.0}, ["a rate is positive", "-1.0"]),
        ({"mode": "medium"}, ["mode is 'medium'", '"fast", "slow"']),
        ({"bias": 1}, ["bias is 1", "true or false"]),
        ({"span": (1.0,)}, ["span is [1.0]", "a list of 2"]),
        ({"span": ("a", "b")}, ["span", "a number, a number"]),
        ({"layers": (1,)}, ["layers is [1]", "a text"]),
        ({"limit": "x"}, ["limit is 'x'", "a whole number"]),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: list[str]) -> None:
    recipe = Recipe("mine.toml", "x", refine=(Step("toy", settings),))  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        algorithms.check(recipe)
    for word in ("mine.toml", *words):
        assert word in str(caught.value)


def test_without_torch_the_error_says_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolchainMissing, match=r"pip install.*fast"):
        algorithms.refinement(Step("adaround"))
    assert algorithms.device(load_recipe("fast"), "auto") == "cpu"


def test_errors_are_the_projects_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DepthdeployError, match="not TOML"):
        load_recipe(str(path))
