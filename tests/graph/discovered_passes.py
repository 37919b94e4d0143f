"""Every graph pass of the package, found by walking it: a new pass is under the laws from its first day."""

import dataclasses
import enum
import functools
import importlib
import inspect
import itertools
import pkgutil
import typing

from depthdeploy.core.target import GraphPass
from depthdeploy.graph import passes

#: Constructor arguments that their types do not list: module.Class -> one set of arguments each.
EXAMPLES: dict[str, tuple[dict[str, object], ...]] = {
    "resize_as_matmul.ResizeAsMatMul": ({"largest": 64}, {"largest": 1 << 20}),
    "resize_stages.ResizeStages": ({"max_factor": 2}, {"max_factor": 4}),
}

#: Pass classes that keep another law than the same function of the same input; their own tests hold it.
OTHER_LAWS = {
    "color_order_reversal.ColorOrderReversal": "the input's channels come in the opposite order",
    "input_bytes.InputBytes": "the input becomes uint8",
    "input_layout.InputLayout": "the input's dimensions come in another order",
    "normalization_folding.NormalizationFolding": "the input becomes pixels that are not normalised yet",
}

#: Fields that say which pass it is, not what it does.
_IDENTITY = ("name", "option")


@functools.cache
def every_pass() -> tuple[GraphPass, ...]:
    """Each pass class, once with every combination of the choices that its fields' types list, by name.

    Raises:
        AssertionError: a pass class can be built neither from its defaults nor from an example.
    """
    found: list[GraphPass] = []
    for module in pkgutil.walk_packages(passes.__path__, f"{passes.__name__}."):
        for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            path = f"{module.name.rsplit('.', 1)[-1]}.{one.__name__}"
            if one.__module__ == module.name and _is_pass(one) and path not in OTHER_LAWS:
                found.extend(_built(one, path))
    return tuple(sorted(found, key=lambda one: one.name))


def exact_passes() -> tuple[GraphPass, ...]:
    """The passes that keep the function."""
    return tuple(one for one in every_pass() if not hasattr(one, "option"))


def approximate_passes() -> tuple[GraphPass, ...]:
    """The passes that a user asks for by an option, since they change the function."""
    return tuple(one for one in every_pass() if hasattr(one, "option"))


def identified(one: GraphPass) -> str:
    """The pass as a test's name: its class, and the fields that differ from one instance to another."""
    fields = [f"{f.name}={getattr(one, f.name)}" for f in dataclasses.fields(one) if f.name not in _IDENTITY]  # type: ignore[arg-type]
    return "-".join([one.name, *fields])


def _is_pass(one: type) -> bool:
    fields = {field.name: field for field in dataclasses.fields(one)} if dataclasses.is_dataclass(one) else {}
    return "name" in fields and not one.__name__.startswith("_") and callable(getattr(one, "__call__", None))  # noqa: B004


def _built(one: type, path: str) -> list[GraphPass]:
    examples = EXAMPLES.get(path, ({},))
    try:
        return [one(**{**choice, **example}) for choice in _choices(one) for example in examples]
    except TypeError as cause:
        raise AssertionError(f"{path} has fields without a default: add arguments to EXAMPLES ({cause})") from cause


def _choices(one: type) -> tuple[dict[str, object], ...]:
    """Every combination of the fields that are a ``Literal``, an ``Enum`` or a ``bool``."""
    hints = typing.get_type_hints(one)
    listed: dict[str, tuple[object, ...]] = {}
    for name in (field.name for field in dataclasses.fields(one) if field.name not in _IDENTITY):
        hint = hints[name]
        if typing.get_origin(hint) is typing.Literal:
            listed[name] = typing.get_args(hint)
        elif hint is bool:
            listed[name] = (False, True)
        elif isinstance(hint, type) and issubclass(hint, enum.Enum):
            listed[name] = tuple(hint)
    return tuple(dict(zip(listed, values, strict=True)) for values in itertools.product(*listed.values()))
