"""What a file is: an ONNX graph, or an OpenVINO IR."""

from __future__ import annotations

from pathlib import Path

from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect_ir import IrSummary, inspect_ir
from depthdeploy.graph.inspect_onnx import OnnxSummary, inspect_onnx

__all__ = ["FileSummary", "IrSummary", "OnnxSummary", "inspect_file", "inspect_ir", "inspect_onnx"]

#: Either has ``rows()``: pairs of a name and a text, for a table.
FileSummary = OnnxSummary | IrSummary


def inspect_file(path: Path) -> FileSummary:
    """The summary that fits the file's suffix: ``.onnx`` or ``.xml``.

    Raises:
        ModelError: the suffix is another one, or the file is missing or damaged.
    """
    match path.suffix.lower():
        case ".onnx":
            return inspect_onnx(path)
        case ".xml":
            return inspect_ir(path)
        case _:
            raise ModelError(f"{path.name} is neither an .onnx nor an .xml file.", "Give one of them.")
