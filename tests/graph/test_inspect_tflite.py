"""Summaries of TensorFlow Lite files: small ones written with the schema's own builders, and a real one."""

import json
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import flatbuffers
import pytest
import tflite
from flatbuffers import Builder
from hypothesis import given
from hypothesis import strategies as st

from depthdeploy.core.digest import plain
from depthdeploy.errors import ModelError, ToolchainMissing
from depthdeploy.graph.inspect import inspect_file, inspect_tflite

REAL = Path(os.environ.get("DEPTHDEPLOY_TEST_DATA", "")) / "weights/fastdepth/fast_depth_224.tflite"
INT8, FLOAT32, INT32, FLOAT16 = 9, 0, 2, 1


def vector(builder: Builder, start: Callable[[Builder, int], object], values: Sequence[float], kind: str) -> int:
    start(builder, len(values))
    for value in reversed(values):
        getattr(builder, f"Prepend{kind}")(value)
    return int(builder.EndVector())


def tensor(
    builder: Builder,
    name: str,
    kind: int,
    shape: Sequence[int],
    buffer: int,
    *,
    scales: Sequence[float] = (),
    zeros: int = 1,
) -> int:
    text = builder.CreateString(name)
    sizes = vector(builder, tflite.TensorStartShapeVector, shape, "Int32")
    quantization = None
    if scales:
        scale = vector(builder, tflite.QuantizationParametersStartScaleVector, scales, "Float32")
        zero = vector(builder, tflite.QuantizationParametersStartZeroPointVector, [-3] * zeros, "Int64")
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero)
        quantization = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddName(builder, text)
    tflite.TensorAddShape(builder, sizes)
    tflite.TensorAddType(builder, kind)
    tflite.TensorAddBuffer(builder, buffer)
    if quantization is not None:
        tflite.TensorAddQuantization(builder, quantization)
    return int(tflite.TensorEnd(builder))


def operator(builder: Builder, code: int, inputs: Sequence[int], outputs: Sequence[int]) -> int:
    read = vector(builder, tflite.OperatorStartInputsVector, inputs, "Int32")
    written = vector(builder, tflite.OperatorStartOutputsVector, outputs, "Int32")
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, read)
    tflite.OperatorAddOutputs(builder, written)
    return int(tflite.OperatorEnd(builder))


def small(*, scale: float = 0.5, zeros: int = 1, out: int = 4, code: int = 0, buffer: int = 3) -> bytes:
    """CONV_2D with a bias, its weights from a DEQUANTIZE of 16-bit floats, then a custom operator."""
    b = flatbuffers.Builder(0)
    buffers = []
    for size in (0, 24, 8, 5):
        data = b.CreateByteVector(bytes(size))
        tflite.BufferStart(b)
        tflite.BufferAddData(b, data)
        buffers.append(tflite.BufferEnd(b))
    tensors = [
        tensor(b, "image", INT8, (1, 4, 4, 3), 0, scales=(scale,), zeros=zeros),
        tensor(b, "weights16", FLOAT16, (4, 3), 1),
        tensor(b, "weights", FLOAT32, (4, 3), 0),
        tensor(b, "bias", INT32, (2,), 2),
        tensor(b, "depth", INT8, (1, 4, 4, 2), 0, scales=(0.25, 0.125), zeros=2),
        tensor(b, "table", INT8, (5,), buffer),
        tensor(b, "end", FLOAT32, (1,), 0),
    ]
    operators = [
        operator(b, code, (1,), (2,)),
        operator(b, 1, (0, 2, 3), (4,)),
        operator(b, 2, (4, 5, -1), (6,)),
    ]
    codes = []
    custom = b.CreateString("Upscale")
    for deprecated, builtin, own in ((6, 6, None), (3, 0, None), (32, 32, custom)):
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, deprecated)
        tflite.OperatorCodeAddBuiltinCode(b, builtin)
        if own is not None:
            tflite.OperatorCodeAddCustomCode(b, own)
        codes.append(tflite.OperatorCodeEnd(b))
    listed = vector(b, tflite.SubGraphStartTensorsVector, tensors, "UOffsetTRelative")
    steps = vector(b, tflite.SubGraphStartOperatorsVector, operators, "UOffsetTRelative")
    given_ = vector(b, tflite.SubGraphStartInputsVector, (0,), "Int32")
    made = vector(b, tflite.SubGraphStartOutputsVector, (out,), "Int32")
    name = b.CreateString("main")
    tflite.SubGraphStart(b)
    tflite.SubGraphAddName(b, name)
    tflite.SubGraphAddTensors(b, listed)
    tflite.SubGraphAddOperators(b, steps)
    tflite.SubGraphAddInputs(b, given_)
    tflite.SubGraphAddOutputs(b, made)
    graph = tflite.SubGraphEnd(b)
    graphs = vector(b, tflite.ModelStartSubgraphsVector, (graph,), "UOffsetTRelative")
    stored = vector(b, tflite.ModelStartBuffersVector, buffers, "UOffsetTRelative")
    known = vector(b, tflite.ModelStartOperatorCodesVector, codes, "UOffsetTRelative")
    text = b.CreateString("made by a test")
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddDescription(b, text)
    tflite.ModelAddOperatorCodes(b, known)
    tflite.ModelAddSubgraphs(b, graphs)
    tflite.ModelAddBuffers(b, stored)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


SMALL = small()


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    return path


def test_a_small_network(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    summary = inspect_tflite(path)
    assert summary == inspect_file(path)
    assert (summary.version, summary.description, summary.bytes) == (3, "made by a test", len(SMALL))
    assert summary.precisions == {"float16": 24, "int32": 8, "int8": 5}
    assert summary.buffer_bytes == 37
    (graph,) = summary.subgraphs
    assert [one.text() for one in graph.inputs] == ["image int8[1,4,4,3], scale 0.5 zero point -3"]
    assert [one.text() for one in graph.outputs] == ["depth int8[1,4,4,2], 2 scales 0.125 to 0.25"]
    assert graph.outputs[0].zero_point == (-3, -3)
    assert graph.operators == {"CONV_2D": 1, "DEQUANTIZE": 1, "Upscale": 1}
    assert graph.quantized == {"CONV_2D": 1}
    assert graph.operator_bytes == {"CONV_2D": 32, "Upscale": 5}
    assert graph.layer_bytes == {"CONV_2D depth": 32, "Upscale end": 5}
    json.dumps(plain(summary), allow_nan=False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "bytes 4 to 8 are nothing"),
        (b"\x1c\0\0\0TFL2" + bytes(40), "bytes 4 to 8 are 54 46 4c 32"),
        (b"\xff\xff\0\0TFL3" + bytes(40), "leads out of the file"),
        (SMALL[:-40], "leads out of the file|room for"),
        (small(out=9), "tensor 9 is asked for, and there are 7"),
        (small(code=8), "an operator has code 8, and there are 3"),
        (small(buffer=8), "tensor 'table' is in buffer 8, and there are 4"),
        (small(zeros=2), "tensor 'image' has 1 scales and 2 zero points"),
        (small(scale=float("nan")), "a scale of tensor 'image' is negative or not finite"),
        (SMALL.replace(struct.pack("<I", 24) + bytes(24), struct.pack("<I", 1 << 30) + bytes(24)), "room for"),
    ],
)
def test_what_is_found_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        inspect_tflite(write(tmp_path, data))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.tflite cannot be read"):
        inspect_tflite(tmp_path / "none.tflite")


def test_without_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(ToolchainMissing, match=r"depthdeploy\[inspect\]"):
        inspect_tflite(write(tmp_path, SMALL))


@given(data=st.data())
def test_damage_is_never_a_crash(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    path = write(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        summary = inspect_tflite(path)
    except ModelError:
        return
    json.dumps(plain(summary), allow_nan=False)
    assert all(text.isprintable() for row in summary.rows() for text in row)


@pytest.mark.skipif(not REAL.is_file(), reason="DEPTHDEPLOY_TEST_DATA names no folder with FastDepth")
def test_fastdepth_as_google_s_converter_wrote_it() -> None:
    summary = inspect_tflite(REAL)
    (graph,) = summary.subgraphs
    (image,), (depth,) = graph.inputs, graph.outputs
    assert (image.type, image.shape, image.zero_point) == ("uint8", (1, 224, 224, 3), (0,))
    assert image.scale == pytest.approx((1 / 255,))
    assert (depth.type, depth.shape) == ("uint8", (1, 224, 224, 1))
    assert graph.operators["CONV_2D"] == 20
    assert graph.operators["DEPTHWISE_CONV_2D"] == 18
    assert sum(graph.operators.values()) == 67
    assert summary.precisions.keys() == {"int8", "int32"}
    assert sum(graph.operator_bytes.values()) <= summary.buffer_bytes < summary.bytes == REAL.stat().st_size
