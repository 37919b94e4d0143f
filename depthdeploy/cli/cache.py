"""``depthdeploy cache``."""

from __future__ import annotations

from pathlib import Path

import typer

from depthdeploy import api
from depthdeploy.cli.console import human_bytes
from depthdeploy.cli.output import AS_JSON, show_json, show_table

app = typer.Typer(help="Show or remove the stored results of stages.", no_args_is_help=True)
_CACHE = typer.Option(None, "--cache", help="The folder for results and downloads.")


@app.command("list")
def list_command(as_json: bool = AS_JSON, cache: Path | None = _CACHE) -> None:
    """List the stored results by stage."""
    entries = api.cached(cache)
    if as_json:
        show_json(entries)
        return
    rows = [(entry.stage, entry.key[:12], human_bytes(entry.bytes)) for entry in entries]
    show_table(
        ("stage", "key", "size"), rows, title=f"{len(rows)} results, {human_bytes(sum(e.bytes for e in entries))}"
    )


@app.command("clear")
def clear_command(cache: Path | None = _CACHE) -> None:
    """Remove the stored results of stages. Downloaded weights stay."""
    typer.echo(f"{human_bytes(api.clear_cache(cache))} freed")
