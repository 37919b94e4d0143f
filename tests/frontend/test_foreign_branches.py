"""Control flow in foreign graphs: what the size decides is decided, what the picture decides is refused by name."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.depth import DepthKind
from depthdeploy.errors import ModelError
from depthdeploy.frontend.foreign import ImportedModel, import_onnx
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function, outputs

#: What PyTorch writes for ``x.squeeze(1)``: the axis goes where it is one. ``axes`` is an attribute before opset 13.
SQUEEZE = """squeeze (float[batch,3,H,W] image) => (float[a,b,c] depth)
<float[1,3,1,1] w, float[1] b, int64 one = {1}, int64 axis = {1}>
{
    conv = Conv (image, w, b)
    shape = Shape (conv)
    channels = Gather <axis=0> (shape, axis)
    single = Equal (channels, one)
    depth = If (single) <
        then_branch = dropped () => (float[a,b,c] inner) {
            scaled = Mul (conv, conv)
            inner = Squeeze <axes=[1]> (scaled)
        },
        else_branch = kept () => (float[a,e,b,c] inner_2) { inner_2 = Identity (conv) }
    >
}"""


def imported(proto: onnx.ModelProto, folder: Path, **options: object) -> ImportedModel:
    path = folder / "foreign.onnx"
    onnx.save(proto, path)
    given = {"kind": DepthKind.INVERSE_DEPTH, **options}
    return import_onnx(path, out=folder / "ours.onnx", **given)  # type: ignore[arg-type]


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_a_squeeze_of_a_side_that_is_one_loses_its_branch_before_the_upgrade(tmp_path: Path) -> None:
    proto = build(SQUEEZE, opset=11)
    result = imported(proto, tmp_path, size=(8, 12))
    assert "If" not in operators(result.model.path)
    assert result.model.output.shape == (1, 8, 12)
    assert any("branches decided for 8x12" in remark for remark in result.remarks)
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 12)).astype(np.float32)
    found, expected = (outputs(one, image)[0] for one in (onnx.load(result.model.path), proto))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_branches_in_branches_and_names_used_twice(tmp_path: Path) -> None:
    proto = build(
        """nested (float[1,3,8,8] image) => (float[1,3,8,8] depth) <int64 four = {4}, int64 three = {3}>
        {
            shape = Shape (image)
            rank = Size (shape)
            yes = Equal (rank, four)
            no = Equal (rank, three)
            first = If (yes) <
                then_branch = a () => (float[1,3,8,8] y) {
                    y = If (no) <
                        then_branch = c () => (float[1,3,8,8] z) { z = Neg (image) },
                        else_branch = d () => (float[1,3,8,8] z) { v = Abs (image) z = Exp (v) }
                    >
                },
                else_branch = b () => (float[1,3,8,8] y) { y = Neg (image) }
            >
            depth = If (no) <
                then_branch = e () => (float[1,3,8,8] y) { y = Neg (first) },
                else_branch = f () => (float[1,3,8,8] y) { v = Abs (first) y = Sqrt (v) }
            >
        }"""
    )
    del proto.graph.output[:]
    proto.graph.node.append(onnx.helper.make_node("ReduceMean", ["depth"], ["map"], "mean", axes=None))
    proto.graph.node[-1].input.append("axis")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "axis"))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("map", onnx.TensorProto.FLOAT, [1, 1, 8, 8]))
    model = imported(proto, tmp_path).model
    assert [one for one in operators(model.path) if one in ("If", "Neg", "Exp", "Sqrt")] == ["Exp", "Sqrt"]
    onnx.checker.check_model(onnx.load(model.path), full_check=True)
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    found, expected = (outputs(one, image)[0] for one in (onnx.load(model.path), proto))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_branch_that_the_picture_decides_is_refused_by_name(tmp_path: Path) -> None:
    proto = build(
        """picture (float[1,3,8,8] image) => (float[1,1,8,8] depth) <float zero = {0}, int64[1] axis = {1}>
        {
            brightness = ReduceMean <keepdims=0> (image)
            bright = Greater (brightness, zero)
            chosen = If (bright) <
                then_branch = a () => (float[1,3,8,8] y) { y = Neg (image) },
                else_branch = b () => (float[1,3,8,8] z) { z = Abs (image) }
            >
            depth = ReduceMean (chosen, axis)
        }"""
    )
    with pytest.raises(ModelError, match=r"chosen \(If\) depends on what the picture shows") as refused:
        imported(proto, tmp_path)
    assert refused.value.remedy
    assert not (tmp_path / "ours.onnx").exists()


def test_a_loop_is_refused_by_name(tmp_path: Path) -> None:
    proto = build(
        """looped (float[1,3,8,8] image) => (float[1,3,8,8] depth) <int64 twice = {2}, bool go = {1}>
        {
            depth = Loop (twice, go, image) <
                body = step (int64 i, bool on, float[1,3,8,8] x) => (bool still, float[1,3,8,8] y) {
                    still = Identity (on) y = Abs (x)
                }
            >
        }"""
    )
    with pytest.raises(ModelError, match=r"depth \(Loop\) is control flow"):
        imported(proto, tmp_path)


def test_a_branch_by_a_constant_is_inlined_by_canonicalize() -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,3,8,8] depth) <bool yes = {1}>
        {
            scaled = Neg (image)
            depth = If (yes) <
                then_branch = a () => (float[1,3,8,8] y) { y = Abs (scaled) },
                else_branch = b () => (float[1,3,8,8] z) { z = Identity (scaled) }
            >
        }"""
    )
    model = ir.from_proto(proto)
    assert "constant-branch-inlining" in canonicalize(model)
    assert [node.op_type for node in model.graph] == ["Neg", "Abs"]
    assert_same_function(proto, model)


def test_a_size_that_is_computed_from_the_shape_is_fixed(tmp_path: Path) -> None:
    proto = build(
        """half (float[batch,3,H,W] image) => (float[a,b,c,d] depth)
        <float[1,3,3,3] w, int64[1] two = {2}, int64[1] four = {4}, int64[2] ones = {1, 1}, float half = {0.5},
         float back = {2}>
        {
            conv = Conv <strides=[2,2], pads=[1,1,1,1]> (image, w)
            shape = Shape (image)
            sides = Slice (shape, two, four)
            real = Cast <to=1> (sides)
            halved = Mul (real, half)
            whole = Floor (halved)
            doubled = Mul (whole, back)
            sizes = Cast <to=7> (doubled)
            full = Concat <axis=0> (ones, sizes)
            depth = Resize <mode="linear"> (conv, , , full)
        }"""
    )
    model = imported(proto, tmp_path, size=(16, 24)).model
    assert model.output.shape == (1, 1, 16, 24)
    graph = ir.load(model.path)
    canonicalize(graph)
    assert [node.op_type for node in graph.graph] == ["Conv", "Resize"]
    assert all(value.shape is not None and value.shape.is_static() for node in graph.graph for value in node.outputs)
