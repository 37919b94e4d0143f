"""Graphs damaged at random: read, or refused as such; nothing else, and nothing native dies of one."""

import random
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from depthdeploy.core.depth import DepthKind
from depthdeploy.errors import DepthdeployError
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.graph.inspect import inspect_onnx
from depthdeploy.testing import graphs

BASES = [
    proto.SerializeToString()
    for proto in (*graphs.all_graphs().values(), graphs.opset10_resize(), graphs.opset9_upsample())
]
NUMBERS = (-1, 0, 1, 2, 7, 1 << 31, -(1 << 63), (1 << 63) - 1)
ATTRIBUTES = ("axis", "axes", "perm", "pads", "group", "kernel_shape", "to", "mode", "strides", "dilations", "end")
VALUES = (0, -1, 5, [1], [0, 0], [-5, 9, 9], "x", 2.5, [1] * 8)
OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})


def values(graph: onnx.GraphProto) -> list[str]:
    made = [name for node in graph.node for name in node.output]
    return [*made, *(t.name for t in graph.initializer), *(v.name for v in graph.input), "", "nothing"]


def rewire(graph: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    if node.input:
        node.input[dice.randrange(len(node.input))] = dice.choice(values(graph))


def cut_inputs(_: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    del node.input[dice.randrange(len(node.input) + 1) :]


def add_input(graph: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    node.input.append(dice.choice(values(graph)))


def rename_output(graph: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    node.output[dice.randrange(len(node.output))] = dice.choice(values(graph))


def other_operator(_: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    node.op_type = dice.choice(OPERATORS)


def other_number(_: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    if node.attribute:
        attribute = dice.choice(node.attribute)
        attribute.i = dice.choice(NUMBERS)
        attribute.ints.append(dice.choice(NUMBERS))


def other_kind(_: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    if node.attribute:
        dice.choice(node.attribute).type = dice.randrange(15)


def add_attribute(_: onnx.GraphProto, node: onnx.NodeProto, dice: random.Random) -> None:
    node.attribute.append(helper.make_attribute(dice.choice(ATTRIBUTES), dice.choice(VALUES)))


def other_weight_shape(graph: onnx.GraphProto, _: onnx.NodeProto, dice: random.Random) -> None:
    tensor = dice.choice(graph.initializer)
    if tensor.dims:
        tensor.dims[dice.randrange(len(tensor.dims))] = dice.choice((0, 1, 2, -1, 1 << 40))


def lose_a_weight(graph: onnx.GraphProto, _: onnx.NodeProto, dice: random.Random) -> None:
    del graph.initializer[dice.randrange(len(graph.initializer))]


def other_end(graph: onnx.GraphProto, _: onnx.NodeProto, dice: random.Random) -> None:
    kind = dice.choice([*graph.input, *graph.output]).type.tensor_type
    kind.elem_type = dice.choice((0, 1, 7, 10, 11, 16, 30))
    if kind.shape.dim:
        dice.choice(kind.shape.dim).dim_value = dice.choice((0, -1, 1, 5, 1 << 33))


EDITS: tuple[Callable[[onnx.GraphProto, onnx.NodeProto, random.Random], None], ...] = (
    rewire, cut_inputs, add_input, rename_output, other_operator, other_number, other_kind, add_attribute,
    other_weight_shape, lose_a_weight, other_end,
)  # fmt: skip


def damaged(dice: random.Random) -> bytes:
    data = dice.choice(BASES)
    if dice.random() < 0.2:
        bent = bytearray(data)
        for _ in range(dice.randint(1, 6)):
            bent[dice.randrange(len(bent))] = dice.randrange(256)
        return bytes(bent)
    model = onnx.ModelProto.FromString(data)
    for _ in range(dice.randint(1, 3)):
        dice.choice(EDITS)(model.graph, dice.choice(model.graph.node), dice)
    if dice.random() < 0.2:
        model.opset_import[0].version = dice.randint(1, 28)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("start", range(0, 400, 20))
def test_a_damaged_graph_is_read_or_refused(start: int, tmp_path: Path) -> None:
    path, out = tmp_path / "foreign.onnx", tmp_path / "ours.onnx"
    for seed in range(start, start + 20):
        path.write_bytes(damaged(random.Random(seed)))
        refused = None
        try:
            inspect_onnx(path).rows()
        except DepthdeployError as error:
            refused = error
        try:
            import_onnx(path, out=out, kind=DepthKind.INVERSE_DEPTH, size=(32, 32))
        except DepthdeployError as error:
            refused = error
            assert not out.exists(), seed
        if refused is not None:
            assert refused.remedy, f"seed {seed}: {refused}"
        out.unlink(missing_ok=True)
