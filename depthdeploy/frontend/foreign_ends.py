"""The ends of a foreign graph: one image goes in at a static size, one float32 depth map comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx
import onnx_ir as ir

from depthdeploy.core.depth import Layout
from depthdeploy.errors import ModelError, UsageError
from depthdeploy.frontend.store_onnx import INPUT, OUTPUT

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def described(value: ir.Value) -> str:
    """``name float32[1,3,H,W]``, for messages."""
    shape = "?" if value.shape is None else ",".join(str(size) for size in value.shape)
    return f"{value.name} {value.dtype.name.lower() if value.dtype is not None else '?'}[{shape}]"


def image_input(model: ir.Model) -> ir.Value:
    """The one input that is no initializer.

    Raises:
        ModelError: there is none or more than one, or it is no float image.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    if len(inputs) != 1:
        raise ModelError(
            f"The graph has {len(inputs)} inputs ({'; '.join(map(described, inputs))}); a depth network of one "
            "photograph has one.",
            "Export the network with the image as its only input.",
        )
    image = inputs[0]
    if image.shape is None or len(image.shape) != 4:
        raise ModelError(f"The input {described(image)} is no image.", "It must be [1,3,H,W] or [1,H,W,3].")
    if image.dtype not in _FLOATS:
        raise ModelError(f"The input {described(image)} is not float.", "Export the network with a float32 input.")
    return image


def image_layout(image: ir.Value, said: Layout | None) -> Layout:
    """Where the three channels are.

    Raises:
        ModelError: neither the second nor the last dimension is 3, or not the one that was said.
        UsageError: both are, and nothing was said.
    """
    dimensions = list(image.shape or ())
    fitting = [layout for layout, axis in ((Layout.NCHW, 1), (Layout.NHWC, 3)) if dimensions[axis] == 3]
    if said is not None and said in fitting:
        return said
    if not fitting or said is not None:
        wanted = said.value if said is not None else "nchw or nhwc"
        raise ModelError(
            f"The input {described(image)} has not 3 channels as {wanted}.", "Give a network of RGB images."
        )
    if len(fitting) > 1:
        raise UsageError(f"The input {described(image)} may be either layout.", "Add --layout nchw or --layout nhwc.")
    return fitting[0]


def image_size(image: ir.Value, layout: Layout, asked: tuple[int, int] | None) -> tuple[tuple[int, int], bool]:
    """Height and width, and whether they differ from what the file states.

    Raises:
        UsageError: a side is free and no size was asked for.
    """
    dimensions = list(image.shape or ())
    sides = dimensions[2:] if layout is Layout.NCHW else dimensions[1:3]
    known = [side for side in sides if isinstance(side, int) and side > 0]
    if asked is None and len(known) < 2:
        raise UsageError(
            f"The sides of the input {described(image)} are free.", "Add --size HxW, as in --size 256x256."
        )
    size = (known[0], known[1]) if asked is None else asked
    return size, list(size) != known


def depth_output(model: ir.Model, name: str | None) -> ir.Value:
    """The output that is the depth map; the graph gives out nothing else afterwards.

    Raises:
        UsageError: the name is unknown, or there are several outputs and none was named.
    """
    listed = "; ".join(map(described, model.graph.outputs))
    if name is None and len(model.graph.outputs) != 1:
        raise UsageError(f"The graph has {len(model.graph.outputs)} outputs: {listed}.", "Add --output NAME.")
    chosen = next((value for value in model.graph.outputs if name in (None, value.name)), None)
    if chosen is None:
        raise UsageError(f"The graph has no output {name!r}; it has {listed}.", "Name one of them after --output.")
    model.graph.outputs[:] = [chosen]
    return chosen


def fix_input(model: ir.Model, image: ir.Value, shape: Sequence[int]) -> None:
    """Give the input its static float32 shape and its name; what was inferred from another shape is forgotten."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    for value in (*model.graph.inputs, *(out for node in model.graph.all_nodes() for out in node.outputs)):
        if value.name in (INPUT, OUTPUT) and value is not image and not value.is_graph_output():
            value.name = f"{value.name}_inner"
    image.shape = ir.Shape(shape)
    if image.dtype == ir.DataType.FLOAT16:
        cast = ir.Node(
            "", "Cast", [], [ir.AttrInt64("to", ir.DataType.FLOAT16)], num_outputs=1, name="image_as_float16"
        )
        half = cast.outputs[0]
        half.name, half.dtype, half.shape = "image_float16", ir.DataType.FLOAT16, image.shape
        image.replace_all_uses_with(half)
        cast.resize_inputs(1)
        cast.replace_input_with(0, image)
        model.graph.insert_before(model.graph[0], cast)
        image.dtype = ir.DataType.FLOAT
    image.name = INPUT


def fix_output(model: ir.Model, depth: ir.Value, size: tuple[int, int]) -> None:
    """Give the output its form, ``[1,1,H,W]`` or ``[1,H,W]`` float32, and its name.

    Raises:
        ModelError: it is no depth map of the input's size.
    """
    shape = None if depth.shape is None else tuple(depth.shape)
    wanted = (1, 1, *size)
    channels_last = (1, *size, 1)
    if shape not in (wanted, wanted[1:], channels_last, size) or depth.dtype not in _FLOATS:
        raise ModelError(
            f"The output {described(depth)} is no depth map of {size[0]}x{size[1]}{_baked(model)}.",
            f"It must be float32 {list(wanted)}; give the network's own size after --size, or export it for this one.",
        )
    chain: list[ir.Node] = []
    if depth.dtype == ir.DataType.FLOAT16:
        chain.append(ir.Node("", "Cast", [depth], [ir.AttrInt64("to", ir.DataType.FLOAT)], name="depth_as_float32"))
    if shape in (channels_last, size):
        target = ir.Value(
            name="depth_shape",
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape([4]),
            const_value=ir.tensor(list(wanted), dtype=ir.DataType.INT64, name="depth_shape"),
        )
        model.graph.register_initializer(target)
        chain.append(ir.Node("", "Reshape", [chain[-1].outputs[0] if chain else depth, target], name="depth_as_nchw"))
    if chain:
        depth.name = f"{OUTPUT}_inner" if depth.name == OUTPUT else depth.name
        model.graph.extend(chain)
        depth = chain[-1].outputs[0]
        depth.type = ir.TensorType(ir.DataType.FLOAT)
        depth.shape = ir.Shape(wanted if shape in (channels_last, size) else (shape or wanted))
        model.graph.outputs[:] = [depth]
    depth.name = OUTPUT


def _baked(model: ir.Model) -> str:
    """The node that sets a size by a constant: where a network cannot change its size, this is why.

    The first ``Reshape`` that does not fit what it is given, otherwise the last node with a size of its own.
    """
    named = ""
    for node in model.graph:
        size = _constant_size(node)
        if size is None:
            continue
        named = f": {node.name or node.outputs[0].name} ({node.op_type}) has the size {size} baked in"
        source = node.inputs[0].shape if node.inputs[0] is not None else None
        known = node.op_type == "Reshape" and min(size) > 0 and source is not None and source.is_static()
        if known and source is not None and math.prod(source.numpy()) != math.prod(size):
            return f"{named}, and is given {list(source.numpy())}"
    return named


def _constant_size(node: ir.Node) -> list[int] | None:
    position = {"Resize": 3, "Reshape": 1, "Expand": 1}.get(node.op_type, len(node.inputs))
    value = node.inputs[position] if position < len(node.inputs) else None
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    size = [] if tensor is None else [int(side) for side in tensor.numpy().reshape(-1)]
    return size if size and max(size) > 1 else None


def infer_shapes(model: onnx.ModelProto, sizes: str) -> onnx.ModelProto:
    """Static shapes throughout, as ONNX infers them.

    Raises:
        ModelError: a node does not fit the input's size; the message names it.
    """
    try:
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError) as cause:
        reason = " ".join(str(cause).split())
        raise ModelError(
            f"The graph does not fit {sizes}: {reason}.", "Give the network's own size after --size, or export it anew."
        ) from cause
