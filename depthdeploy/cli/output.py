"""Tables for people and JSON for programs, from the same rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer
from rich.table import Table

from depthdeploy.cli.console import open_console
from depthdeploy.core.digest import plain

AS_JSON = typer.Option(False, "--json", help="Print JSON instead of text.")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table; every cell is literal text."""
    table = Table(
        *columns,
        title=title or None,
        title_justify="left",
        header_style="bold",
        show_header=any(columns),
        box=None,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    open_console().print(table)


def show_json(value: object) -> None:
    """Print a frozen value as JSON."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))
