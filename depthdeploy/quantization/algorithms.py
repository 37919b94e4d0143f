"""What a recipe can name: a table of algorithms that imports none, and the strict way from a step to its algorithm."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from depthdeploy.core.recipe import Recipe, Setting, Step
from depthdeploy.errors import ToolchainMissing, UsageError

if TYPE_CHECKING:
    from depthdeploy.quantization.workbench import Preparation, Refinement


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One line of the table.

    Attributes:
        name: as recipes write it.
        module: where it is; imported when a recipe that names it runs.
        cls: a frozen dataclass whose fields are its settings.
        learns: whether it trains with PyTorch, on the chosen device.
        aims: whether it works towards the user's limits on the loss and weighs the target's wider forms.
        version: raised when the same inputs would give another result.
    """

    name: str
    module: str
    cls: str
    learns: bool = False
    aims: bool = False
    version: int = 1

    @property
    def timed(self) -> bool:
        """Whether it shares in the time budget, and may go on where it was interrupted."""
        return self.learns or self.aims


_ROOM = "depthdeploy.quantization"
_DEVICE = f"{_ROOM}.learning.device"

#: Algorithms on the float graph, before anything is observed.
PREPARATIONS: Mapping[str, Algorithm] = {
    entry.name: entry
    for entry in (
        Algorithm("equalize", f"{_ROOM}.equalize", "Equalize"),
        Algorithm("channel-mixing", f"{_ROOM}.mixing", "ChannelMixing"),
        Algorithm("smoothquant", f"{_ROOM}.smooth", "SmoothQuant"),
        Algorithm("matmul-equalization", f"{_ROOM}.matmul_equalization", "MatMulEqualization"),
        Algorithm("layer-norm-absorption", f"{_ROOM}.layer_norm_absorption", "LayerNormAbsorption"),
    )
}

#: Algorithms on the plan and the constants, after it.
REFINEMENTS: Mapping[str, Algorithm] = {
    entry.name: entry
    for entry in (
        Algorithm("clip", f"{_ROOM}.clip", "WeightClipping"),
        Algorithm("compensated-rounding", f"{_ROOM}.compensate", "CompensatedRounding"),
        Algorithm("bias-correction", f"{_ROOM}.bias", "BiasCorrection"),
        Algorithm("sensitivity", f"{_ROOM}.sensitivity", "SensitivityAnalysis"),
        Algorithm("mixed-precision", f"{_ROOM}.mixed", "MixedPrecision", aims=True),
        Algorithm("adaround", f"{_ROOM}.learning.adaround", "AdaRound", learns=True),
        Algorithm("finetune", f"{_ROOM}.learning.finetune", "FineTune", learns=True),
    )
}


def learns(recipe: Recipe) -> bool:
    """Whether a recipe needs PyTorch."""
    return any(REFINEMENTS[step.algorithm].learns for step in recipe.refine)


def timed(recipe: Recipe) -> bool:
    """Whether a time budget can change what a recipe gives."""
    return any(REFINEMENTS[step.algorithm].timed for step in recipe.refine)


def preparation(step: Step) -> Preparation:
    """The preparation that a step names, with its settings.

    Raises:
        UsageError: it has no such setting, or the value is not one that it takes.
    """
    return cast("Preparation", _made(PREPARATIONS[step.algorithm], step))


def refinement(step: Step) -> Refinement:
    """The refinement that a step names, with its settings.

    Raises:
        UsageError: it has no such setting, or the value is not one that it takes.
        ToolchainMissing: it learns, and PyTorch is not installed.
    """
    return cast("Refinement", _made(REFINEMENTS[step.algorithm], step))


def check(recipe: Recipe) -> None:
    """Make every algorithm of a recipe once, so that a mistake is told before anything runs.

    Raises:
        UsageError: a setting is unknown or wrong; the message names the recipe's step.
        ToolchainMissing: an algorithm learns, and PyTorch is not installed.
    """
    for steps, make in ((recipe.prepare, preparation), (recipe.refine, refinement)):
        for step in steps:
            try:
                make(step)
            except UsageError as error:
                raise UsageError(f"Recipe {recipe.name}: {error.what}", error.remedy) from error


def device(recipe: Recipe, wanted: str) -> str:
    """Where a recipe learns, ``cpu`` or ``cuda``; PyTorch is asked only when it learns and the user left it open.

    Raises:
        UsageError: a GPU is wanted, and there is none.
    """
    if not learns(recipe) or wanted == "cpu":
        return "cpu"
    chosen: str = importlib.import_module(_DEVICE).choose(wanted)
    return chosen


def describe_device(chosen: str) -> str:
    """``cpu``, or the GPU's name."""
    found: str = "cpu" if chosen == "cpu" else importlib.import_module(_DEVICE).describe(chosen)
    return found


def identity(entry: Algorithm, algorithm: object) -> object:
    """What a step's result depends on besides its input: the algorithm, its version and every setting in effect."""
    fields = dataclasses.fields(cast("typing.Any", algorithm))
    return entry.name, entry.version, {field.name: getattr(algorithm, field.name) for field in fields}


def _made(entry: Algorithm, step: Step) -> object:
    cls = _imported(entry)
    settings = {name: _checked(entry, cls, name, value) for name, value in step.settings.items()}
    try:
        return cls(**settings)
    except ValueError as cause:
        raise UsageError(f"{step}: {cause}.", "Correct the setting.") from cause


def _imported(entry: Algorithm) -> Callable[..., object]:
    if entry.learns and importlib.util.find_spec("torch") is None:
        raise ToolchainMissing(
            f"{entry.name} learns with PyTorch, which is not installed.",
            'Install it: `pip install "depthdeploy[export]"`; the recipes minmax, percentile and fast work without it.',
        )
    return cast("Callable[..., object]", getattr(importlib.import_module(entry.module), entry.cls))


def _checked(entry: Algorithm, cls: Callable[..., object], name: str, value: Setting) -> object:
    fields = [field.name for field in dataclasses.fields(cast("typing.Any", cls)) if field.init]
    if name not in fields:
        known = f"It has {', '.join(fields)}." if fields else "It has none."
        raise UsageError(f"{entry.name} has no setting {name!r}.", known)
    hint = typing.get_type_hints(cls)[name]
    found = _fitted(value, hint)
    if found is None:
        shown = list(value) if isinstance(value, tuple) else value
        raise UsageError(f"{entry.name}: {name} is {shown!r}.", f"Give {_allowed(hint)}.")
    return found


def _fitted(value: Setting, hint: object) -> object | None:
    """The value as the hint has it; ``None`` when it does not fit (TOML has no null)."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return value if any(value == choice and type(value) is type(choice) for choice in inner) else None
    if origin in (typing.Union, types.UnionType):
        return next((found for choice in inner if (found := _fitted(value, choice)) is not None), None)
    if origin is tuple:
        return _fitted_tuple(value, inner)
    if hint is float:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if hint is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    return value if isinstance(hint, type) and isinstance(value, hint) else None


def _fitted_tuple(value: Setting, inner: tuple[object, ...]) -> object | None:
    if not isinstance(value, tuple):
        return None
    hints = inner[:1] * len(value) if inner[-1:] == (Ellipsis,) else inner
    if len(hints) != len(value):
        return None
    items = tuple(_fitted(item, hint) for item, hint in zip(value, hints, strict=True))
    return None if any(item is None for item in items) else items


_WORDS = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}


def _allowed(hint: object) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_allowed(choice) for choice in inner if choice is not type(None))
    if origin is tuple and inner[-1:] == (Ellipsis,):
        return f"a list whose items are each {_allowed(inner[0])}"
    if origin is tuple:
        return f"a list of {len(inner)}: {', '.join(_allowed(choice) for choice in inner)}"
    return _WORDS.get(cast("type", hint), str(hint))
