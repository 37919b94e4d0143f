"""``depthdeploy targets``."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table
from depthdeploy.core.listing import OperatorListing, TargetListing


def targets_command(
    target: str | None = typer.Argument(None, help="A target or chip, as after --target: list what it runs of ONNX."),
    as_json: bool = AS_JSON,
) -> None:
    """List the targets that can be named after --target, with their variants; or one chip's operators."""
    if target is not None:
        operators = api.operators(target)
        show_json(operators) if as_json else _show_operators(operators)
        return
    listed = api.targets()
    show_json(listed) if as_json else _show_targets(listed)


def _show_targets(listed: Sequence[TargetListing]) -> None:
    rows = [
        (
            f"{target.name}:{variant.name}" if variant.name else target.name,
            ", ".join(variant.precisions),
            "yes" if target.sdk_version and target.driven else "no",
            f"{target.sdk} {target.sdk_version}".strip() if target.driven else "not driven by this version",
            variant.title,
        )
        for target in listed
        for variant in target.variants
    ]
    show_table(("target", "precisions", "ready", "needs", "runs on"), rows)


def _show_operators(operators: Sequence[OperatorListing]) -> None:
    rows = [
        (
            one.operator if one.operator != "*" else "every node",
            one.runs,
            "; ".join(one.conditions),
            "uncertain" if one.uncertain else "",
            one.source,
        )
        for one in operators
    ]
    show_table(("operator", "runs on", "conditions", "", "source"), rows)
