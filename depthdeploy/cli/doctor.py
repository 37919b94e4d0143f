"""``depthdeploy doctor``."""

from __future__ import annotations

from pathlib import Path

import typer

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table


def doctor_command(
    as_json: bool = AS_JSON,
    cache: Path | None = typer.Option(None, "--cache", help="Check this folder for results and downloads."),
) -> None:
    """Check this machine: packages, targets, processor, disk. Exit code 1 when something that is there fails."""
    checks = api.doctor(cache)
    if as_json:
        show_json(checks)
    else:
        rows = [(check.status, check.name, check.found, check.remedy) for check in checks]
        show_table(("", "what", "found", "remedy"), rows)
    if any(check.status == "bad" for check in checks):
        raise typer.Exit(1)
