"""What a foreign graph says of itself: known versions, operators of ONNX, tensors at its ends.

ONNX's native checker, shape inference and version converter are given only graphs that passed these checks: they were
not written for others.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from depthdeploy.errors import ModelError
from depthdeploy.proto_tensors import called, every_graph

_ANEW = "Export the network anew."


def check_versions(model: onnx.ModelProto, path: Path, opset: int) -> None:
    """The versions of the file format and of the operator set are known ones.

    Raises:
        ModelError: they are not, or not stated.
    """
    newest = onnx.defs.onnx_opset_version()
    if model.ir_version > onnx.IR_VERSION:
        raise ModelError(
            f"{path} has IR version {model.ir_version}; {onnx.IR_VERSION} is the newest that onnx {onnx.__version__} "
            "reads.",
            "Update onnx and onnxruntime, or export the network with an older IR version.",
        )
    if not 1 <= opset <= newest:
        raise ModelError(
            f"{path} has opset {opset}; onnx {onnx.__version__} reads 1 to {newest}.",
            "Update onnx and onnxruntime, or export the network with opset 21.",
        )


def check_operators(model: onnx.ModelProto, path: Path, opset: int) -> None:
    """Every operator is ONNX's own, of the file's operator set, and not in training.

    Raises:
        ModelError: others are there; the message names them and how many nodes there are.
    """
    nodes = [node for graph in every_graph(model.graph) for node in graph.node]
    foreign = [f"{node.op_type} of {node.domain}" for node in nodes if node.domain]
    if foreign:
        first = next(node for node in nodes if node.domain)
        raise ModelError(
            f"{path} (opset {opset}) uses operators that are not ONNX's own: {', '.join(sorted(set(foreign)))} "
            f"({len(foreign)} nodes, the first is {called(first)}).",
            "Export the network with standard operators alone.",
        )
    for node in nodes:
        if not _is_known(node.op_type, opset):
            raise ModelError(
                f"{path}: {called(node)} is no operator of ONNX's opset {opset}.",
                "Export the network anew, with operators of the opset that it states.",
            )
        if _is_training(node, opset):
            raise ModelError(
                f"{path}: {called(node)} is in training mode.", "Export the network after model.eval() in PyTorch."
            )


def check_ends(model: onnx.ModelProto, path: Path) -> None:
    """Inputs and outputs are tensors; a dimension that is not positive is made free, as some exporters mean it.

    Raises:
        ModelError: one is no tensor, or of no type that ONNX knows.
    """
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            if value.type.WhichOneof("value") not in ("tensor_type", None):
                raise ModelError(f"{path}: the {kind} {value.name!r} is no tensor.", "A depth map is one tensor.")
            element = value.type.tensor_type.elem_type
            if element not in onnx.TensorProto.DataType.values():
                raise ModelError(f"{path}: the {kind} {value.name!r} has the element type {element}.", _ANEW)
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.WhichOneof("value") == "dim_value" and dimension.dim_value < 1:
                    dimension.ClearField("dim_value")


def _is_known(operator: str, opset: int) -> bool:
    try:
        return not onnx.defs.get_schema(operator, opset).deprecated
    except onnx.defs.SchemaError:
        return False


def _is_training(node: onnx.NodeProto, opset: int) -> bool:
    """Batch normalisation by the photographs' own statistics; before opset 14 its further outputs say so."""
    if node.op_type != "BatchNormalization":
        return False
    if any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute):
        return True
    return 7 <= opset < 14 and any(node.output[1:])
