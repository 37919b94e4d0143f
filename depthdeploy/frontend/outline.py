"""Outlines: canonical graphs without their weights, small enough to be packaged and enough to plan with.

An outline keeps every node, shape and small constant. Each large constant keeps its name, type and shape and loses its
values: when it is read, one number stands for all of them, another one for every constant, so that none is taken for
zeros, ones or its neighbour.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx_ir.passes import common

from depthdeploy.core.depth import InputContract
from depthdeploy.errors import ModelError
from depthdeploy.frontend.foreign_ends import fix_input

#: Constants of at most so many values are kept: shapes, factors, bounds.
_KEPT = 64
_LEFT_OUT = "left-out"


def write_outline(model: ir.Model, out: Path) -> None:
    """Write a graph without its large constants; the same graph gives the same bytes."""
    proto = ir.to_proto(model)
    for tensor in proto.graph.initializer:
        if np.prod(tensor.dims) > _KEPT:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            del tensor.external_data[:]
            tensor.external_data.add(key="location", value=_LEFT_OUT)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(proto.SerializeToString(deterministic=True), mtime=0))


def read_outline(path: Path) -> ir.Model:
    """The graph of an outline, at the size that it was made for.

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        proto = onnx.ModelProto.FromString(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, DecodeError) as cause:
        raise ModelError(f"The outline {path} cannot be read: {cause}.", "Reinstall the model's plug-in.") from cause
    if not proto.graph.node:
        raise ModelError(f"The outline {path} cannot be read: it is empty.", "Reinstall the model's plug-in.")
    model: ir.Model = ir.from_proto(proto)
    for number, value in enumerate(model.graph.initializers.values()):
        if isinstance(value.const_value, ir.ExternalTensor):
            shape, dtype = value.const_value.shape.numpy(), value.const_value.dtype.numpy()
            stand_in = np.broadcast_to(np.asarray(0.01 + 1e-6 * number, dtype=dtype), shape)
            value.const_value = ir.Tensor(stand_in, name=value.name)
    return model


def sized_outline(model: ir.Model, contract: InputContract) -> ir.Model | None:
    """An outline at another size, changed in place; ``None`` where the network has its size baked in.

    A network is free of its size when its shapes can be inferred anew from another input, and the depth map comes out
    as large as the input.
    """
    image = model.graph.inputs[0]
    if image.shape is not None and tuple(image.shape.numpy()) == contract.shape:
        return model
    fix_input(model, image, contract.shape)
    depth = model.graph.outputs[0]
    depth.shape = None
    common.ShapeInferencePass(check_type=True, strict_mode=True, data_prop=True)(model)
    values = [value for node in model.graph for value in node.outputs]
    static = all(value.shape is not None and value.shape.is_static() for value in values)
    fits = static and depth.shape is not None and tuple(depth.shape.numpy())[-2:] == (contract.height, contract.width)
    return model if fits else None
