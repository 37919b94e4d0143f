"""Sensitivity rows of a report: from ``report.json`` or from the ``sensitivity.csv`` beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from quantizers.rows import UsageError

from depthdeploy.core.findings import Sensitivity

Layer = Sensitivity


def read_layers(path: Path) -> tuple[Layer, ...]:
    """The rows in the graph's order.

    Raises:
        UsageError: the file cannot be read, or has no sensitivity rows.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = tuple(_layer(row) for row in (_of_report(text) if path.suffix == ".json" else _of_csv(text)))
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise UsageError(f"{path} is no report.json or sensitivity.csv with sensitivity rows ({cause})") from cause
    if not found:
        raise UsageError(f"{path} has no sensitivity rows: compile with a recipe that has the refinement `sensitivity`")
    return found


def worst(layers: Sequence[Layer], count: int) -> tuple[Layer, ...]:
    """Those whose quantization alone costs the output most."""
    return tuple(sorted(layers, key=lambda layer: layer.sqnr_alone_db)[:count])


def _of_csv(text: str) -> Sequence[Mapping[str, object]]:
    return list(csv.DictReader(text.splitlines()))


def _of_report(text: str) -> Sequence[Mapping[str, object]]:
    rows: Sequence[Mapping[str, object]] = json.loads(text)["quantization"]["findings"]["sensitivity"]
    return rows


def _layer(row: Mapping[str, object]) -> Layer:
    kinds = {"node": str, "operator": str, "macs": int}
    return Sensitivity(**{one.name: kinds.get(one.name, float)(row[one.name]) for one in fields(Sensitivity)})
