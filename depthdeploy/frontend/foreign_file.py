"""A foreign ONNX file, opened and checked: what is wrong with it is said in one paragraph."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from depthdeploy.errors import ModelError
from depthdeploy.frontend.opset import opset_of


def open_onnx(path: Path) -> onnx.ModelProto:
    """The graph of a file with all its weights, functions inlined.

    Raises:
        ModelError: the file is missing, is no ONNX graph, lacks its external data, is not valid, or uses operators that
            are not ONNX's own.
    """
    model = _parsed(path)
    _load_external(model, path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _check_domains(model, path)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as cause:
        raise ModelError(
            f"{path} is not a valid ONNX graph: {str(cause).strip().splitlines()[0]}.", "Export the network anew."
        ) from cause
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    if path.is_dir():
        raise ModelError(f"{path} is a folder.", "Give the .onnx file in it.")
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause
    except (DecodeError, UnicodeDecodeError, ValueError) as cause:
        raise ModelError(f"{path} is not an ONNX file: {cause}.", "Give an .onnx file, whole.") from cause
    if not model.graph.node or not model.ir_version:
        raise ModelError(f"{path} holds no ONNX graph ({path.stat().st_size} bytes).", "Give an .onnx file, whole.")
    for part in (*model.opset_import, *model.graph.node):  # the default domain has two names; ONNX's checker knows one
        part.domain = "" if part.domain == "ai.onnx" else part.domain
    return model


def _load_external(model: onnx.ModelProto, path: Path) -> None:
    external = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    missing = sorted(name for name in external if not (path.parent / name).is_file())
    if missing:
        raise ModelError(
            f"{path} keeps its weights beside it, and there is no {' and no '.join(missing)}.",
            f"Put what is missing into {path.parent}.",
        )
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as cause:
        raise ModelError(f"The weights of {path} cannot be read: {cause}.", "Fetch both files anew.") from cause


def _check_domains(model: onnx.ModelProto, path: Path) -> None:
    foreign = [f"{node.op_type} of {node.domain}" for node in model.graph.node if node.domain]
    if foreign:
        kinds = sorted(set(foreign))
        raise ModelError(
            f"{path} (opset {opset_of(model)}) uses operators that are not ONNX's own: {', '.join(kinds)} "
            f"({len(foreign)} nodes).",
            "Export the network with standard operators alone.",
        )
