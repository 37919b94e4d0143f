"""What a file is: a graph, or what a vendor's compiler made of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect_hef import HefSummary, inspect_hef
from depthdeploy.graph.inspect_ir import IrSummary, inspect_ir
from depthdeploy.graph.inspect_onnx import OnnxSummary, inspect_onnx
from depthdeploy.graph.inspect_rknn import RknnSummary, inspect_rknn
from depthdeploy.graph.inspect_text import printable
from depthdeploy.graph.inspect_tflite import TfliteSummary, inspect_tflite

__all__ = [
    "FileSummary",
    "HefSummary",
    "IrSummary",
    "OnnxSummary",
    "RknnSummary",
    "TfliteSummary",
    "inspect_file",
    "inspect_hef",
    "inspect_ir",
    "inspect_onnx",
    "inspect_rknn",
    "inspect_tflite",
]

#: Each has ``rows()``: pairs of a name and a text, for a table.
FileSummary = OnnxSummary | IrSummary | HefSummary | RknnSummary | TfliteSummary

_READERS: dict[str, Callable[[Path], FileSummary]] = {
    ".onnx": inspect_onnx,
    ".xml": inspect_ir,
    ".hef": inspect_hef,
    ".rknn": inspect_rknn,
    ".tflite": inspect_tflite,
}


def inspect_file(path: Path) -> FileSummary:
    """The summary that fits the file's suffix: ``.onnx``, ``.xml``, ``.hef``, ``.rknn`` or ``.tflite``.

    Raises:
        ModelError: the suffix is another one, or the file is missing or damaged.
        ToolchainMissing: a package that this kind of file needs is not installed.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise ModelError(f"{printable(path.name)} is of no kind that is known.", f"Give one of {known}.")
    return reader(path)
