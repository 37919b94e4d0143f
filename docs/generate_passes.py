"""Writes ``docs/reference/passes.md``: every rewrite, its law, and where it applies, from the code itself.

``python docs/generate_passes.py`` rewrites the file; a test compares it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import depthdeploy.graph.passes
from depthdeploy.graph.approximations import APPROXIMATIONS
from depthdeploy.graph.canonicalize import PASSES
from depthdeploy.registry import targets

TARGET = Path(__file__).parent / "reference" / "passes.md"

_HEAD = """# Rewrites of the graph

Made by `docs/generate_passes.py` from the code itself.

Every rewrite keeps one law: **the same function**. It is tested on small graphs, on random chains of operators, on the
networks of the zoo, and on the ONNX project's own test cases of the operators that it touches; `canonicalize` proves it
once more on photographs in every run. A rewrite that changes the function is an *approximation*: it is applied where
`--approximate` asks for it and nowhere else, and the report says what it lost before anything was quantized.
"""


_REST = "What `--input` and its kin do to the ends of a network, and what is there for plug-ins that need it."


def text() -> str:
    """The whole page."""
    lines = [_HEAD, "## For every network", "", "In this order, until nothing changes.", ""]
    lines += _table([(one.name, type(one)) for one in PASSES])
    lines += ["", "## For a target", "", "In the target's order, until nothing changes.", ""]
    lines += ["| rewrite | what it does | targets |", "|---|---|---|"]
    used = dict(_users())
    lines += [f"| `{name}` | {_says(cls)} | {'; '.join(users)} |" for (name, cls), users in used.items()]
    lines += ["", "## Approximations", "", "| option | what it does |", "|---|---|"]
    lines += [f"| `--approximate {one.option}` | {_says(type(one))} |" for one in APPROXIMATIONS]
    named = {cls for _, cls in used} | {type(one) for one in (*PASSES, *APPROXIMATIONS)}
    rest = [cls for cls in _every_class() if cls not in named]
    lines += ["", "## The rest", "", _REST, ""]
    lines += _table([(str(inspect.signature(cls).parameters["name"].default), cls) for cls in rest])
    return "\n".join(lines) + "\n"


def _table(rows: list[tuple[str, type]]) -> list[str]:
    return ["| rewrite | what it does |", "|---|---|", *(f"| `{name}` | {_says(cls)} |" for name, cls in rows)]


def _says(cls: type) -> str:
    """The first sentence of a class's documentation, on one line."""
    paragraph = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    return paragraph.replace("``", "`").replace("|", "\\|").replace("**", "")


def _users() -> Iterator[tuple[tuple[str, type], list[str]]]:
    """Every rewrite that a target uses, and by which of its variants."""
    found: dict[tuple[str, type], dict[str, list[str]]] = {}
    for target in targets:
        variants = targets[target].capabilities.variants
        for variant in variants:
            for one in targets[target].lowering(variant):
                found.setdefault((one.name, type(one)), {}).setdefault(target, []).append(variant)
    for key, users in found.items():
        yield key, [_named(target, variants) for target, variants in users.items()]


def _named(target: str, variants: list[str]) -> str:
    whole = set(targets[target].capabilities.variants) == set(variants)
    return target if whole else f"{target} ({', '.join(variants)})"


def _every_class() -> Iterator[type]:
    """The classes of passes, in the order of their modules."""
    package = depthdeploy.graph.passes
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            own = cls.__module__ == module.name and "__call__" in vars(cls)
            if own and "name" in getattr(cls, "__dataclass_fields__", {}):
                yield cls


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
