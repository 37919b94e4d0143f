"""Foreign ONNX: what is read is said, what cannot be read is refused in one paragraph."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from depthdeploy.core.depth import ColorOrder, DepthKind, Layout, ResizeRule
from depthdeploy.core.request import InputOptions
from depthdeploy.errors import DepthdeployError, ModelError, UsageError
from depthdeploy.frontend.foreign import ImportedModel, import_onnx
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function, outputs

DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA", "")
FASTDEPTH = Path(DATA) / "weights" / "fastdepth" / "fast_depth_224.onnx"
KIND = DepthKind.INVERSE_DEPTH


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "foreign.onnx"
    onnx.save(proto, path)
    return path


def imported(proto: onnx.ModelProto, folder: Path, **options: object) -> ImportedModel:
    given = {"kind": KIND, **options}
    return import_onnx(saved(proto, folder), out=folder / "ours.onnx", **given)  # type: ignore[arg-type]


def refusal(proto: onnx.ModelProto, folder: Path, error: type[DepthdeployError], **options: object) -> str:
    with pytest.raises(error) as refused:
        imported(proto, folder, **options)
    assert not (folder / "ours.onnx").exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def old_resize(operator: str, mode: str, scale: float) -> onnx.ModelProto:
    """A depth network of 48x48 whose middle has another size; opset 10 for ``Resize``, 9 for ``Upsample``."""
    side = int(48 * scale)
    back = (
        f"depth = AveragePool <kernel_shape=[{side - 47}, {side - 47}]> (large)"
        if scale > 1
        else "depth = ConvTranspose <kernel_shape=[13, 13]> (large, w_back)"
    )
    return build(
        f"""old (float[1,3,48,48] image) => (float[1,1,48,48] depth)
        <float[1,3,3,3] w, float[1,1,13,13] w_back, float[4] scales = {{1, 1, {scale}, {scale}}}>
        {{
            conv = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w)
            large = {operator} <mode="{mode}"> (conv, scales)
            {back}
        }}""",
        opset=10 if operator == "Resize" else 9,
    )


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize(
    ("operator", "scale"), [("Resize", 2.0), ("Resize", 1.5), ("Resize", 0.75), ("Upsample", 2.0), ("Upsample", 1.5)]
)
def test_an_old_resize_keeps_its_coordinates(operator: str, mode: str, scale: float, tmp_path: Path) -> None:
    proto = old_resize(operator, mode, scale)
    result = imported(proto, tmp_path)
    ours = onnx.load(result.model.path)
    assert_same_function(proto, ours)
    (rule,) = ({a.name: a.s for a in node.attribute} for node in ours.graph.node if node.op_type == "Resize")
    assert rule["coordinate_transformation_mode"] == b"asymmetric"
    assert rule["nearest_mode"] == (b"ceil" if scale < 1 else b"floor")
    assert any("brought to 18; the output changed by" in remark for remark in result.remarks)


def test_an_old_resize_that_no_later_one_can_say_is_refused(tmp_path: Path) -> None:
    proto = old_resize("Resize", "nearest", 0.75)
    scales = next(tensor for tensor in proto.graph.initializer if tensor.name == "scales")
    scales.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, 2, 0.5], np.float32), "scales"))
    del proto.graph.value_info[:]
    assert "grows one side and shrinks another" in refusal(proto, tmp_path, ModelError)


def test_the_rule_of_a_newer_resize_is_spelled_out_and_kept(tmp_path: Path) -> None:
    ours = onnx.load(imported(graphs.concat_decoder(), tmp_path).model.path)
    (resize,) = (node for node in ours.graph.node if node.op_type == "Resize")
    rule = {attribute.name: attribute.s for attribute in resize.attribute}
    assert rule["coordinate_transformation_mode"] == b"align_corners"
    assert rule["nearest_mode"] == b"round_prefer_floor"


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    result = imported(graphs.residual_block(), tmp_path)
    assert any("assumed" in remark and "RGB in 0..1" in remark for remark in result.remarks)
    assert result.model.contract.mean == (0.0, 0.0, 0.0)


def test_what_is_said_is_not_assumed(tmp_path: Path) -> None:
    options = InputOptions((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), 255.0, ColorOrder.BGR, Layout.NCHW, ResizeRule.PAD)
    result = imported(graphs.residual_block(), tmp_path, options=options)
    contract = result.model.contract
    assert (contract.mean, contract.scale, contract.color, contract.resize) == (
        (0.5, 0.5, 0.5),
        255.0,
        ColorOrder.BGR,
        ResizeRule.PAD,
    )
    assert "not said: interpolation" in result.remarks[0]


def test_the_meaning_of_the_output_is_never_assumed(tmp_path: Path) -> None:
    text = refusal(graphs.residual_block(), tmp_path, UsageError, kind=None)
    assert "--output-kind" in text
    assert "metric-depth" in text


def test_free_sides_need_a_size(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    for value in (proto.graph.input[0], proto.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param, dims[2].dim_param, dims[3].dim_param = "batch", "height", "width"
    assert "--size" in refusal(proto, tmp_path, UsageError)
    model = imported(proto, tmp_path, size=(24, 40)).model
    assert model.input.shape == (1, 3, 24, 40)
    assert model.output.shape == (1, 1, 24, 40)


def test_a_static_network_that_can_takes_another_size(tmp_path: Path) -> None:
    proto = graphs.concat_decoder()
    model = imported(proto, tmp_path, size=(48, 64)).model
    assert model.output.shape == (1, 1, 48, 64)
    assert_same_function(graphs.concat_decoder(height=48, width=64), onnx.load(model.path))


def test_a_baked_size_is_named(tmp_path: Path) -> None:
    assert "columns_first" in refusal(graphs.attention_with_nan_guard(), tmp_path, ModelError, size=(64, 64))
    proto = build(
        """g (float[1,3,16,16] image) => (float[1,1,16,16] depth)
        <float[1,3,3,3] w, int64[4] full = {1, 1, 16, 16}>
        {
            half = Conv <strides=[2,2], pads=[1,1,1,1]> (image, w)
            depth = Resize <mode="linear"> (half, , , full)
        }"""
    )
    text = refusal(proto, tmp_path, ModelError, size=(32, 32))
    assert "depth (Resize) has the size [1, 1, 16, 16] baked in" in text


def test_channels_last_stays_channels_last_at_the_input(tmp_path: Path) -> None:
    proto = build(
        """g (float[1,16,24,3] pixels) => (float[1,16,24,1] map) <float[1,3,1,1] w>
        {
            image = Transpose <perm=[0,3,1,2]> (pixels)
            depth = Conv (image, w)
            map = Transpose <perm=[0,2,3,1]> (depth)
        }"""
    )
    model = imported(proto, tmp_path).model
    assert (model.contract.layout, model.input.shape) == (Layout.NHWC, (1, 16, 24, 3))
    assert (model.input.name, model.output.name, model.output.shape) == ("image", "depth", (1, 1, 16, 24))
    image = np.random.default_rng(0).normal(size=(1, 16, 24, 3)).astype(np.float32)
    found, expected = outputs(onnx.load(model.path), image)[0], outputs(proto, image)[0]
    np.testing.assert_array_equal(found.reshape(-1), expected.reshape(-1))


def test_half_precision_ends_become_float32(tmp_path: Path) -> None:
    proto = build(
        """g (float16[1,3,16,16] image) => (float16[1,1,16,16] depth)
        <int64[1] axis = {1}> { depth = ReduceMean (image, axis) }"""
    )
    model = imported(proto, tmp_path).model
    assert (model.input.dtype, model.output.dtype) == ("float32", "float32")
    onnx.checker.check_model(onnx.load(model.path), full_check=True)


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    proto.graph.output.append(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [1, 8, 32, 32]))
    text = refusal(proto, tmp_path, UsageError)
    assert "--output" in text
    assert "sum" in text
    assert "nothing" in refusal(proto, tmp_path, UsageError, output="nothing")
    assert imported(proto, tmp_path, output="depth").model.output.name == "depth"


def test_a_stereo_network_is_refused(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    proto.graph.input.append(onnx.helper.make_tensor_value_info("right", onnx.TensorProto.FLOAT, [1, 3, 32, 32]))
    text = refusal(proto, tmp_path, ModelError)
    assert "2 inputs" in text
    assert "right" in text


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ([1, 4, 8, 8], onnx.TensorProto.FLOAT, "3 channels"),
        ([1, 3, 8], onnx.TensorProto.FLOAT, "no image"),
        ([1, 3, 8, 8], onnx.TensorProto.UINT8, "not float"),
    ],
)
def test_an_input_that_is_no_image_is_refused(shape: list[int], dtype: int, said: str, tmp_path: Path) -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", dtype, shape)],
        [onnx.helper.make_tensor_value_info("y", dtype, shape)],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    assert said in refusal(proto, tmp_path, ModelError)


def test_a_layout_that_could_be_either_must_be_said(tmp_path: Path) -> None:
    proto = build(
        "g (float[1,3,8,3] image) => (float[1,1,8,3] depth) <int64[1] axis = {1}> { depth = ReduceMean (image, axis) }"
    )
    assert "--layout" in refusal(proto, tmp_path, UsageError)
    assert imported(proto, tmp_path, options=InputOptions(layout=Layout.NCHW)).model.input.shape == (1, 3, 8, 3)


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,10] logits) <float[192,10] w>
        { flat = Flatten (image)\nlogits = MatMul (flat, w) }"""
    )
    assert "no depth map" in refusal(proto, tmp_path, ModelError)


def test_the_default_domain_may_be_spelled_out(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    for part in (*proto.opset_import, *proto.graph.node):
        part.domain = "ai.onnx"
    model = imported(proto, tmp_path).model
    assert model.opset == 18
    assert_same_function(graphs.residual_block(), onnx.load(model.path))


def test_operators_that_are_not_onnx_are_named(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    proto.opset_import.append(onnx.helper.make_opsetid("com.vendor", 1))
    proto.graph.node[2].domain = "com.vendor"
    assert "Conv of com.vendor" in refusal(proto, tmp_path, ModelError)


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    onnx.save(graphs.residual_block(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert import_onnx(path, out=tmp_path / "ours.onnx", kind=KIND).model.output.name == "depth"
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin"):
        import_onnx(path, out=tmp_path / "ours.onnx", kind=KIND)


@pytest.mark.parametrize("content", [None, b"", b"not a graph at all", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_graph_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"foreign\.onnx"):
        import_onnx(path, out=tmp_path / "ours.onnx", kind=KIND)


@pytest.mark.skipif(not FASTDEPTH.is_file(), reason="DEPTHDEPLOY_TEST_DATA names no folder with FastDepth")
def test_fastdepth(tmp_path: Path) -> None:
    result = import_onnx(FASTDEPTH, out=tmp_path / "ours.onnx", kind=DepthKind.METRIC_DEPTH)
    assert result.model.output.shape == (1, 1, 224, 224)
    assert len(result.remarks) == 2
    assert_same_function(onnx.load(FASTDEPTH), onnx.load(result.model.path))
