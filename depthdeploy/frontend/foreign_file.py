"""A foreign ONNX file, opened and checked: what is wrong with it is said in one paragraph."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.inliner

from depthdeploy.errors import ModelError
from depthdeploy.frontend.foreign_structure import check_ends, check_operators, check_versions
from depthdeploy.frontend.foreign_tensors import check_finite, load_external
from depthdeploy.frontend.opset import opset_of
from depthdeploy.graph_file import read_proto
from depthdeploy.proto_structure import check_structure


def open_onnx(path: Path) -> onnx.ModelProto:
    """The graph of a file with all its weights, functions inlined, nodes in order; notes on shapes are left out.

    What is native in ONNX sees the graph after our own checks of its structure: cycles, values of two origins or none,
    and constants that are shorter than they say are refused before.

    Raises:
        ModelError: the file is missing, is no ONNX graph, lacks its external data, is not valid, or uses operators that
            are not ONNX's own.
    """
    model = read_proto(path)
    for part in (*model.opset_import, *model.graph.node):  # the default domain has two names; ONNX's checker knows one
        part.domain = "" if part.domain == "ai.onnx" else part.domain
    opset = opset_of(model)
    check_versions(model, path, opset)
    check_ends(model, path)
    check_structure(model, path)
    load_external(model, path)
    if model.functions:
        model = _inlined(model, path)
        check_structure(model, path)
    check_operators(model, path, opset)
    check_finite(model, path)
    del model.graph.value_info[:], model.training_info[:]
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as cause:
        reason = " ".join(str(cause).split())
        raise ModelError(f"{path} is not a valid ONNX graph: {reason[:600]}.", "Export the network anew.") from cause
    return model


def _inlined(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as cause:
        raise ModelError(
            f"The functions in {path} cannot be inlined: {' '.join(str(cause).split())}.", "Export the network anew."
        ) from cause
