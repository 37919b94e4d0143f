"""Writes ``docs/reference/command-line.md`` from the program itself, so that it cannot drift.

``python docs/generate_command_line.py`` rewrites the file; a test compares it.
"""

from __future__ import annotations

from enum import EnumType
from pathlib import Path

import typer

from depthdeploy.cli.app import app
from depthdeploy.errors import INTERRUPTED, DepthdeployError, error_classes

TARGET = Path(__file__).parent / "reference" / "command-line.md"


def _options(command: object) -> list[str]:
    rows = ["| option | meaning |", "|---|---|"]
    for parameter in getattr(command, "params", []):
        if parameter.name == "help":
            continue
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{parameter.name.upper()}`"
        text = str(parameter.help or "").replace("|", "\\|")
        kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        if isinstance(kind, EnumType):
            text += f" One of `{'`, `'.join(str(member.value) for member in list(kind))}`."
        rows.append(f"| {names} | {text} |")
    return rows if len(rows) > 2 else []


def _section(name: str, command: object, depth: int) -> list[str]:
    lines = [f"{'#' * depth} `{name}`", "", str(getattr(command, "help", "") or ""), ""]
    children = getattr(command, "commands", {})
    options = _options(command)
    if options and name != "depthdeploy":
        lines += [*options, ""]
    for child_name, child in children.items():
        lines += _section(f"{name} {child_name}", child, depth + 1)
    return lines


def text() -> str:
    """The whole page."""
    lines = ["# Command line", "", "Made by `docs/generate_command_line.py` from the program itself.", ""]
    lines += _section("depthdeploy", typer.main.get_command(app), 2)
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|", "| 0 | done |"]
    for cls in error_classes():
        meaning = "internal error" if cls is DepthdeployError else (cls.__doc__ or "").split("\n")[0]
        lines.append(f"| {cls.exit_code} | {meaning} |")
    lines.append(f"| {INTERRUPTED} | Interrupted by the user. |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
