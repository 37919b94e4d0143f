"""The verbs as functions. The command line calls these and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from depthdeploy import registry
from depthdeploy.core.listing import Check, DatasetListing, OperatorListing, TargetListing, VariantListing
from depthdeploy.core.model import ModelCard
from depthdeploy.core.progress import Listener, Silence
from depthdeploy.core.recipe import Recipe
from depthdeploy.core.request import CompileRequest

if TYPE_CHECKING:
    from depthdeploy.core.plan import Budget, Plan
    from depthdeploy.graph.inspect import FileSummary
    from depthdeploy.pipeline.outcome import Outcome
    from depthdeploy.pipeline.store import Entry


def cache_folder(given: Path | None) -> Path:
    """Where results and downloads lie: the folder given, ``DEPTHDEPLOY_CACHE``, or the user's cache folder."""
    if given is not None:
        return given
    named = os.environ.get("DEPTHDEPLOY_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("depthdeploy"))


def compile(request: CompileRequest, listener: Listener | None = None) -> Outcome:  # the verb's own name
    """Export, make legal, calibrate, quantize, compile and evaluate a network for every target of the request.

    A failing target does not stop the others: its error stands in its row of the outcome.

    Args:
        request: what is asked for.
        listener: who is told about stages; nobody by default.

    Returns:
        One result per target, in the request's order.

    Raises:
        DepthdeployError: what concerns all targets fails: the network, the photographs.
    """
    from depthdeploy.pipeline.stages import compile_network

    return compile_network(request, listener or Silence(), cache=cache_folder(request.cache))


def plan(request: CompileRequest, listener: Listener | None = None, *, budget: Budget | None = None) -> Plan:
    """What ``compile`` would do with a request, and where it would stop; nothing is compiled, downloaded or stored.

    Args:
        request: what is asked for.
        listener: who is told when a network must be exported, which takes seconds; nobody by default.
        budget: how long an inference may take, and on which share of the chip.

    Raises:
        UsageError: an unknown name, contradictory options, an approximation that changes nothing.
        ModelError: the network cannot be found, built or read at this size.
    """
    from depthdeploy.pipeline.plan import plan_network

    return plan_network(request, listener or Silence(), cache=cache_folder(request.cache), budget=budget)


def models() -> tuple[ModelCard, ...]:
    """The cards of every installed network, by name."""
    return tuple(registry.models[name].card for name in registry.models)


def targets() -> tuple[TargetListing, ...]:
    """Every installed target with its variants; no SDK is imported."""
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return ""

    listed = []
    for name in registry.targets:
        able = registry.targets[name].capabilities
        variants = tuple(VariantListing(v.name, v.title, v.precisions) for v in able.variants.values())
        listed.append(
            TargetListing(name, able.title, able.sdk, installed(able.sdk), bool(able.driver), able.artifact, variants)
        )
    return tuple(listed)


def operators(target: str) -> tuple[OperatorListing, ...]:
    """What a chip runs of ONNX, and under which conditions.

    Args:
        target: as after ``--target``: ``openvino:npu-4000``, ``hailo8``.

    Raises:
        UsageError: there is no such target or variant; near names are suggested.
    """
    from depthdeploy.graph.constraints import conditions
    from depthdeploy.pipeline.destination import resolve

    (goal,) = resolve(CompileRequest(targets=(target,)))
    rules = goal.target.capabilities.rules(goal.variant.name)
    return tuple(
        OperatorListing(
            operator=name,
            runs="host" if rule.on_host else "accelerator",
            conditions=conditions(rule),
            uncertain=rule.uncertain,
            remedy=rule.remedy,
            source=rule.source,
        )
        for name, rule in sorted(rules.items())
    )


def calibrations() -> tuple[DatasetListing, ...]:
    """Every installed data set."""
    sets = ((name, registry.datasets[name]) for name in registry.datasets)
    return tuple(DatasetListing(name, plugin.title, plugin.usage) for name, plugin in sets)


def recipes() -> tuple[Recipe, ...]:
    """The built-in recipes of quantization, by name; no algorithm is imported."""
    from depthdeploy.quantization.recipes import load_recipe, names

    return tuple(load_recipe(name) for name in names())


def recipe_text(name: str) -> str:
    """The TOML of a recipe, to copy and change.

    Raises:
        UsageError: there is no such recipe, it cannot be read, or it is wrong.
    """
    from depthdeploy.quantization.recipes import load_recipe, recipe_text

    load_recipe(name)
    return recipe_text(name)


def inspect(path: Path) -> FileSummary:
    """What a file is: an ONNX graph, an OpenVINO IR, a HEF, an RKNN or a TensorFlow Lite file.

    Raises:
        ModelError: the file is missing, damaged or of another kind.
        ToolchainMissing: a package that this kind of file needs is not installed.
    """
    from depthdeploy.graph.inspect import inspect_file

    return inspect_file(path)


def doctor(cache: Path | None = None) -> tuple[Check, ...]:
    """What works on this machine and what is missing, with remedies."""
    from depthdeploy.pipeline.doctor import examine

    return examine(cache_folder(cache))


def cached(cache: Path | None = None) -> tuple[Entry, ...]:
    """The stored results of stages."""
    from depthdeploy.pipeline.store import Store

    return tuple(Store(cache_folder(cache) / "stages").entries())


def clear_cache(cache: Path | None = None) -> int:
    """Remove the stored results of stages and of interrupted learning; the bytes that were freed."""
    from depthdeploy.pipeline.shelf import clear_working_folders
    from depthdeploy.pipeline.store import Store

    folder = cache_folder(cache)
    return Store(folder / "stages").clear() + clear_working_folders(folder)
