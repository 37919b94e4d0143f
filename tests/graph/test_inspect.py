"""Summaries of graphs in files, good and bad, and what all summaries share."""

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthdeploy.core.digest import plain
from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect import inspect_file, inspect_ir, inspect_onnx
from depthdeploy.graph.inspect_text import bytes_by_layer, largest_rows
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build

IR = """<?xml version="1.0"?>
<net name="tiny" version="11"><layers>
<layer id="0" name="image" type="Parameter" version="opset1"><data shape="1,3,8,8" element_type="f32" />
<output><port id="0" precision="FP32" names="image"><dim>1</dim><dim>3</dim><dim>8</dim><dim>8</dim></port></output>
</layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="i8" shape="1,3,1,1" offset="0" size="3" />
<output><port id="0" precision="I8"><dim>1</dim><dim>3</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="2" name="conv" type="Convolution" version="opset1"><output><port id="2" precision="FP32" names="depth">
<dim>1</dim><dim>1</dim><dim>8</dim><dim>8</dim></port></output></layer>
<layer id="3" name="conv/sink" type="Result" version="opset1"><input><port id="0" precision="FP32">
<dim>1</dim><dim>1</dim><dim>8</dim><dim>8</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0" />
<edge from-layer="1" from-port="0" to-layer="2" to-port="1" />
<edge from-layer="2" from-port="2" to-layer="3" to-port="0" /></edges></net>"""


@pytest.fixture
def ir_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.xml"
    path.write_text(IR)
    path.with_suffix(".bin").write_bytes(b"abc")
    return path


def test_an_onnx_graph(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    onnx.save(graphs.depthwise_block(), path)
    summary = inspect_onnx(path)
    assert summary == inspect_file(path)
    assert summary.inputs == ("image float32[1,3,32,32]",)
    assert summary.outputs == ("depth float32[1,1,32,32]",)
    assert summary.opsets == {"ai.onnx": 18}
    assert summary.producer == "depthdeploy.testing"
    assert summary.nodes == {"Conv": 5, "Clip": 2, "Add": 1}
    assert summary.macs == 32 * 32 * (3 * 8 + 8 * 16 + 16 * 9 + 16 * 8 + 8)
    assert summary.bytes == path.stat().st_size
    assert (summary.quantize_nodes, summary.quantized) == (0, {})
    assert ("MACs", f"{summary.macs:,}") in summary.rows()
    assert len(summary.layer_bytes) == 5 + 1  # both Clips read the same bounds, which count for the first
    assert sum(summary.layer_bytes.values()) == sum(4 * count for count in summary.precisions.values())
    assert list(summary.layer_bytes.values()) == sorted(summary.layer_bytes.values(), reverse=True)


def test_a_quantized_graph(tmp_path: Path) -> None:
    path = tmp_path / "q.onnx"
    proto = build(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth)
        <int8[1,3,1,1] w = {1, 2, 3}, float scale = {0.1}, int8 zero = {0}, float s = {0.05}, uint8 z = {128}>
        {
            codes = QuantizeLinear (image, s, z)
            values = DequantizeLinear (codes, s, z)
            weight = DequantizeLinear (w, scale, zero)
            depth = Conv (values, weight)
        }"""
    )
    onnx.save(proto, path)
    summary = inspect_onnx(path)
    assert (summary.quantize_nodes, summary.dequantize_nodes) == (1, 2)
    assert summary.quantized == {"Conv": 1}
    assert summary.parameters == 3
    assert summary.precisions["int8"] == 4
    assert ("quantized operators", "Conv 1") in summary.rows()
    # weights, their scale and zero point belong to the convolution, past the dequantization of them
    assert summary.layer_bytes == {"Conv depth": 3 + 4 + 1, "QuantizeLinear codes": 4 + 1}


def test_a_graph_of_free_size_has_no_count_of_operations(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[2].dim_param = "height"
    del proto.graph.value_info[:]
    path = tmp_path / "free.onnx"
    onnx.save(proto, path)
    summary = inspect_onnx(path)
    assert summary.macs is None
    assert summary.inputs == ("image float32[1,3,height,32]",)


def test_constants_count_for_the_first_layer_that_computes_with_them() -> None:
    layers = [
        ("dequantize", ["codes", "scale"], ["weights"]),
        ("twice", ["image", "weights", "weights"], ["a"]),
        ("again", ["a", "weights", "bias"], ["b"]),
        ("bare", ["b"], ["c"]),
    ]
    constants = {"codes": 8, "scale": 4, "bias": 2, "unread": 100}
    assert bytes_by_layer(constants, layers) == {"twice": 12, "again": 2}


def test_a_table_has_the_largest_layers_and_one_row_for_the_rest() -> None:
    rows = largest_rows({f"layer {number} {'x' * 90}": 100 - number for number in range(10)})
    assert len(rows) == 9
    assert rows[0][1].startswith("100 bytes (10.5%) layer 0 xxx")
    assert rows[0][1].endswith("…")
    assert rows[-1] == ("layer size", "183 bytes in 2 others")
    assert largest_rows({}) == []


def test_external_data_belongs_to_the_size(tmp_path: Path) -> None:
    path = tmp_path / "e.onnx"
    onnx.save(graphs.residual_block(), path, save_as_external_data=True, location="e.bin", size_threshold=0)
    assert inspect_onnx(path).bytes == path.stat().st_size + (tmp_path / "e.bin").stat().st_size


def test_an_openvino_ir(ir_file: Path) -> None:
    summary = inspect_ir(ir_file)
    assert summary == inspect_file(ir_file)
    assert summary.inputs == ("image fp32[1,3,8,8]",)
    assert summary.outputs == ("depth fp32[1,1,8,8]",)
    assert summary.precisions == {"i8": 3}
    assert summary.weights_bytes == 3
    assert summary.layer_bytes == {"Convolution conv": 3}
    assert summary.layers == {"Const": 1, "Convolution": 1, "Parameter": 1, "Result": 1}
    assert dict(summary.rows())["format"] == "OpenVINO IR version 11"


def test_constants_stored_in_one_place_count_once(ir_file: Path) -> None:
    start = IR.index('<layer id="1"')
    layer = IR[start : IR.index('<layer id="2"')]
    twin = layer.replace('id="1" name="w"', 'id="9" name="twin"')
    ir_file.write_text(IR.replace(layer, layer + twin))
    summary = inspect_ir(ir_file)
    assert summary.layers["Const"] == 2
    assert summary.precisions == {"i8": 3}


def test_an_ir_whose_constants_are_cut(ir_file: Path) -> None:
    ir_file.with_suffix(".bin").write_bytes(b"ab")
    with pytest.raises(ModelError, match=r"'w' ends at byte 3 of tiny\.bin, which has 2 bytes"):
        inspect_ir(ir_file)


def test_an_ir_without_its_constants(ir_file: Path) -> None:
    ir_file.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"tiny\.bin, which is not there"):
        inspect_ir(ir_file)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.onnx", None),
        ("text.onnx", b"not a graph at all"),
        ("empty.onnx", b""),
        ("cut.onnx", graphs.residual_block().SerializeToString()[:-3000]),
        ("missing.xml", None),
        ("text.xml", b"not xml"),
        ("page.xml", b"<html></html>"),
        ("weights.pt", b"PK"),
        ("missing.hef", None),
        ("missing.rknn", None),
        ("missing.tflite", None),
        ("name.onnx", graphs.residual_block().SerializeToString().replace(b"Conv", b"C\xffnv")),
    ],
)
def test_a_bad_file_is_an_error_of_one_paragraph(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as refused:
        inspect_file(path)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


@given(data=st.data(), suffix=st.sampled_from([".onnx", ".xml"]))
def test_damage_is_never_a_crash(data: st.DataObject, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(IR.encode() if suffix == ".xml" else graphs.depthwise_block().SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(content)
    path.with_suffix(".bin").write_bytes(b"abc")
    try:
        summary = inspect_file(path)
    except ModelError:
        return
    json.dumps(plain(summary), allow_nan=False)
    assert all(text.isprintable() for row in summary.rows() for text in row)
