"""``depthdeploy inspect``."""

from __future__ import annotations

from pathlib import Path

import typer

from depthdeploy import api
from depthdeploy.cli.output import AS_JSON, show_json, show_table


def inspect_command(
    file: Path = typer.Argument(..., help="An .onnx, .xml (OpenVINO), .hef, .rknn or .tflite file."),
    as_json: bool = AS_JSON,
) -> None:
    """Say what a file is: inputs, outputs, operators, precisions, quantization, sizes."""
    summary = api.inspect(file)
    if as_json:
        show_json(summary)
        return
    show_table(("", ""), summary.rows(), title=str(file))
