"""What every layer of a graph computes and moves, before any chip is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import onnx_ir as ir

from depthdeploy.core.performance import OperatorClass
from depthdeploy.errors import ModelError
from depthdeploy.operations import macs_of

#: Nothing happens on a chip: names, shapes, and the marks of quantization.
_FREE: Final = frozenset(
    {"Cast", "Constant", "ConstantOfShape", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear"}
    | {"Reshape", "Shape", "Squeeze", "Unsqueeze"}
)
_MOVES: Final = frozenset(
    {"Concat", "DepthToSpace", "Expand", "Gather", "Pad", "Slice", "SpaceToDepth", "Split", "Tile", "Transpose"}
)
_NORMALIZES: Final = frozenset(
    {"GlobalAveragePool", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LogSoftmax"}
    | {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Softmax"}
)
#: Operations of the vector unit for one value of the larger of input and output. Softmax: maximum, difference,
#: exponential, sum, quotient; layer normalisation: mean, difference, square, mean, root, product, sum.
_STEPS: Final[Mapping[str, int]] = {"Softmax": 5, "LogSoftmax": 5, "LayerNormalization": 7, "Erf": 4, "Gelu": 6}
#: Two products and two sums in both directions.
_BILINEAR: Final = 8
_CUBIC: Final = 32


@dataclass(frozen=True, slots=True)
class Work:
    """One layer: a node and what runs in the same step behind it.

    Attributes:
        name: the node.
        operator: its ONNX operator.
        kind: its class.
        macs: multiply-accumulate operations; 0 for a layer of the vector unit.
        steps: operations of the vector unit; 0 for a layer of the multiply-accumulate array.
        weights: constant values that it reads.
        reads: values of every activation that it reads.
        writes: values that it writes.
        channels: of input and output, for convolutions; ``None`` otherwise.
        buffered: activations that a pipeline holds back before the layer can start.
        attributes: the node's attributes in words, for rules.
        fused: operators behind it.
    """

    name: str
    operator: str
    kind: OperatorClass
    macs: int
    steps: int
    weights: int
    reads: tuple[int, ...]
    writes: int
    channels: tuple[int, int] | None
    buffered: int
    attributes: Mapping[str, str]
    fused: tuple[str, ...] = ()


def works_of(graph: ir.Model, fused: Iterable[str]) -> tuple[Work, ...]:
    """The layers of a graph in its order; operators of ``fused`` join the layer before them.

    A node joins the layer that makes one of its inputs when it is that layer's only reader: its result is then
    written instead, and its other activations are read in the same step.

    Raises:
        ModelError: a shape is not static.
    """
    joining = frozenset(fused)
    works: list[Work] = []
    maker: dict[ir.Value, int] = {}
    for node in graph.graph:
        if node.op_type in _FREE:
            source = next((maker[value] for value in node.inputs if value in maker), None)
            maker.update({} if source is None else dict.fromkeys(node.outputs, source))
            continue
        joined = _joined(node, maker) if node.op_type in joining else None
        if joined is None:
            maker.update(dict.fromkeys(node.outputs, len(works)))
            works.append(_work(node))
        else:
            index, value = joined
            maker.update(dict.fromkeys(node.outputs, index))
            works[index] = _extended(works[index], node, value)
    return tuple(works)


def _joined(node: ir.Node, maker: Mapping[ir.Value, int]) -> tuple[int, ir.Value] | None:
    """The layer that a node can join, and the value that is then never written: the latest one."""
    fitting = [
        (maker[value], value)
        for value in node.inputs
        if value is not None and value in maker and _single_reader(value) and not value.is_graph_output()
    ]
    return max(fitting, key=lambda one: one[0], default=None)


def _single_reader(value: ir.Value) -> bool:
    """Whether one node reads a value, and the value before it where only its name or shape was changed."""
    if len(value.uses()) != 1:
        return False
    node = value.producer()
    if node is None or node.op_type not in _FREE or node.inputs[0] is None:
        return True
    return _single_reader(node.inputs[0])


def _extended(work: Work, node: ir.Node, value: ir.Value) -> Work:
    others = tuple(_count(one) for one in _activations(node) if one is not value)
    return replace(
        work,
        steps=work.steps and work.steps + _steps(node, max((*work.reads, work.writes))),
        reads=(*work.reads, *others),
        writes=sum(_count(one) for one in node.outputs),
        fused=(*work.fused, node.op_type),
    )


def _work(node: ir.Node) -> Work:
    kind, macs = _kind(node), macs_of(node)
    reads = tuple(_count(value) for value in _activations(node))
    writes = sum(_count(value) for value in node.outputs)
    return Work(
        name=node.name or str(node.outputs[0].name),
        operator=node.op_type,
        kind=kind,
        macs=macs,
        steps=0 if macs or kind is OperatorClass.MOVE else _steps(node, max((*reads, writes))),
        weights=sum(_count(value) for value in node.inputs if value is not None and _is_constant(value))
        if macs or kind is OperatorClass.ELEMENTWISE
        else 0,
        reads=reads,
        writes=writes,
        channels=_channels(node) if kind is OperatorClass.CONV else None,
        buffered=_buffered(node, reads),
        attributes={name: str(one.value) for name, one in node.attributes.items() if isinstance(one, ir.Attr)},
    )


def _kind(node: ir.Node) -> OperatorClass:
    match node.op_type:
        case "Conv" | "ConvTranspose":
            grouped = node.attributes.get_int("group", 1) > 1
            return OperatorClass.DEPTHWISE if grouped and _shape(node.inputs[1])[1] == 1 else OperatorClass.CONV
        case "MatMul" | "Gemm":
            return OperatorClass.MATMUL
        case "Resize" | "Upsample":
            return OperatorClass.RESIZE
        case operator if operator in _MOVES:
            return OperatorClass.MOVE
        case operator if operator in _NORMALIZES:
            return OperatorClass.NORMALIZE
        case _:
            return OperatorClass.ELEMENTWISE


def _steps(node: ir.Node, values: int) -> int:
    if node.op_type in ("Resize", "Upsample"):
        mode = node.attributes.get_string("mode", "nearest")
        return values * {"nearest": 1, "cubic": _CUBIC}.get(str(mode), _BILINEAR)
    if node.op_type in ("MaxPool", "AveragePool"):
        return values * math.prod(int(side) for side in node.attributes.get_ints("kernel_shape", [1]) or [1])
    return values * _STEPS.get(node.op_type, 1)


def _channels(node: ir.Node) -> tuple[int, int]:
    """Channels of one group of input and output."""
    weight, groups = _shape(node.inputs[1]), node.attributes.get_int("group", 1) or 1
    taken, given = (weight[0] // groups, weight[1]) if node.op_type == "ConvTranspose" else (weight[1], weight[0])
    return taken, given // groups if node.op_type == "Conv" else given


def _buffered(node: ir.Node, reads: tuple[int, ...]) -> int:
    """Rows under a kernel; for products of two activations and for sums over all, the whole input."""
    match node.op_type:
        case "Conv":
            shape, kernel = _shape(node.inputs[0]), _shape(node.inputs[1])[2:]
            return math.prod((shape[1], *shape[3:])) * kernel[0] if len(shape) > 3 else reads[0]
        case "MatMul" if len(reads) > 1:
            return reads[1]
        case "Resize" | "Upsample" | "ConvTranspose" | "MaxPool" | "AveragePool":
            shape = _shape(node.inputs[0])
            return 2 * math.prod((shape[1], *shape[3:])) if len(shape) > 3 else reads[0]
        case _:
            return 0


def _activations(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None and not _is_constant(value)]


def _is_constant(value: ir.Value) -> bool:
    node = value.producer()
    if node is not None and node.op_type in ("DequantizeLinear", "Cast", "Constant"):
        return node.op_type == "Constant" or (node.inputs[0] is not None and _is_constant(node.inputs[0]))
    return value.is_initializer() or value.const_value is not None


def _count(value: ir.Value) -> int:
    return math.prod(_shape(value))


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    if value is not None and value.shape is None and value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    if value is None or value.shape is None or not value.shape.is_static():
        name = "" if value is None else value.name
        raise ModelError(f"{name} has no static shape, so its traffic cannot be counted.", "Give a size: --size HxW.")
    return tuple(value.shape.numpy())
