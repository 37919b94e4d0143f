"""How a run quantizes: the request's recipe and what goes with it, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from depthdeploy.core.recipe import Recipe
from depthdeploy.core.request import CompileRequest, Drop
from depthdeploy.quantization import algorithms
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.recipes import load_recipe


@dataclass(frozen=True, slots=True)
class Approach:
    """How every target of a run is quantized.

    Attributes:
        recipe: with the observer that the user wants.
        device: where learning runs, ``cpu`` or ``cuda``.
        budget: seconds that learning and searching may take per target; ``None`` for as long as it needs.
        seed: of everything random.
        limits: losses that must not be exceeded.
    """

    recipe: Recipe
    device: str = "cpu"
    budget: float | None = None
    seed: int = 0
    limits: tuple[Drop, ...] = ()


def approach_of(request: CompileRequest, *, quantizes: bool) -> Approach:
    """The approach of a request; a wrong name or setting is told now, not after minutes of export.

    Args:
        request: what is asked for.
        quantizes: whether any target is quantized; the algorithms of a recipe are not looked at when none is.

    Raises:
        UsageError: there is no such recipe or observer, a setting is wrong, or the device is not there.
        ToolchainMissing: an algorithm learns, and PyTorch is not installed.
    """
    recipe = load_recipe(request.recipe)
    if request.observer is not None:
        recipe = replace(recipe, observer=request.observer)
    if quantizes:
        parse_observer(recipe.observer)
        algorithms.check(recipe)
    elif request.observer is not None:
        parse_observer(request.observer)
    device = algorithms.device(recipe, request.device) if quantizes else "cpu"
    return Approach(recipe, device, request.time_budget, request.seed, request.max_drop)
