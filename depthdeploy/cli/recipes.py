"""``depthdeploy recipes``."""

from __future__ import annotations

import typer

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table

app = typer.Typer(help="List the recipes that can be named after --recipe.", invoke_without_command=True)


@app.callback()
def list_recipes(context: typer.Context, as_json: bool = AS_JSON) -> None:
    """List the recipes that can be named after --recipe, or show one to copy."""
    if context.invoked_subcommand is not None:
        return
    listed = api.recipes()
    if as_json:
        show_json(listed)
        return
    rows = [
        (
            recipe.name,
            f"{recipe.images:,}",
            recipe.observer,
            ", ".join(step.algorithm for step in (*recipe.prepare, *recipe.refine)),
            recipe.summary,
        )
        for recipe in listed
    ]
    show_table(("recipe", "photographs", "ranges", "algorithms", "what it does"), rows)


@app.command("show")
def show_command(name: str = typer.Argument(..., help="A recipe, or a file of your own.")) -> None:
    """Print a recipe's TOML: copy it to a file, change it, and give it to --recipe."""
    typer.echo(api.recipe_text(name), nl=False)
