"""The parts of a TensorFlow Lite file that a summary needs, read out of its FlatBuffers with every bound checked.

The schema is that of the ``tflite`` package, which is generated from TensorFlow's own ``schema.fbs``.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthdeploy.errors import ModelError, ToolchainMissing
from depthdeploy.graph.inspect_text import damaged, printable

_IDENTIFIER = b"TFL3"
_TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16",
)  # fmt: skip
_PLACEHOLDER = 127  # of the first, 8-bit field of operator codes, which larger codes have in a second field


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """A tensor.

    Attributes:
        name: as stored.
        type: element type.
        shape: -1 stands for a size that is not fixed.
        scale: of one step: ``real = (code - zero_point) * scale``. One for all, or one per channel; empty when the
            tensor is not quantized.
        zero_point: the code of 0, as many as scales.
        channel_axis: dimension of the channels that have scales of their own.
        buffer: number of its buffer in the file.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    channel_axis: int
    buffer: int

    @property
    def quantized(self) -> bool:
        """Whether its codes stand for real values."""
        return bool(self.scale)

    def text(self) -> str:
        """``name int8[1,224,224,3], scale 0.0039 zero point -128``."""
        text = f"{self.name} {self.type}[{','.join(map(str, self.shape))}]"
        if len(self.scale) == 1:
            return f"{text}, scale {self.scale[0]:.6g} zero point {self.zero_point[0]}"
        if self.scale:
            return f"{text}, {len(self.scale)} scales {min(self.scale):.6g} to {max(self.scale):.6g}"
        return text


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """An operator: its name and the numbers of the tensors it reads and writes; absent ones are left out."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TfliteGraph:
    """A subgraph: its tensors, and numbers of them."""

    name: str
    tensors: tuple[TfliteTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[TfliteOperator, ...]


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """A file: subgraphs, and bytes in each buffer."""

    version: int
    description: str
    subgraphs: tuple[TfliteGraph, ...]
    buffers: tuple[int, ...]
    metadata: tuple[str, ...]


def read_tflite(data: bytes | mmap.mmap, path: Path) -> TfliteFile:
    """Read the bytes of a file.

    Args:
        data: all of them.
        path: for messages.

    Raises:
        ModelError: they are not a TensorFlow Lite file, or an offset or number in it leads nowhere.
        ToolchainMissing: the ``tflite`` package is not installed.
    """
    if data[4:8] != _IDENTIFIER:
        found = data[4:8].hex(" ") or "nothing"
        raise ModelError(f"{path} is no TensorFlow Lite file: bytes 4 to 8 are {found}.", "Give a .tflite file, whole.")
    try:
        import tflite
    except ImportError as cause:
        raise ToolchainMissing(
            f"{path} is read with the tflite package, which is not installed.",
            'Install it: `pip install "depthdeploy[inspect]"`.',
        ) from cause
    with _bounds(path):
        return _Reader(data, path, tflite.opcode2name).file(tflite.Model.GetRootAs(data))


@contextmanager
def _bounds(path: Path) -> Iterator[None]:
    """What the FlatBuffers library raises where an offset leads out of the file."""
    try:
        yield
    except (struct.error, TypeError, ValueError, IndexError, OverflowError) as cause:
        raise damaged(path, f"an offset in its FlatBuffers leads out of the file ({printable(str(cause))})") from cause


class _Reader:
    """Reads tables; all vectors together may not be longer than the file, so that a damaged one cannot run for ever."""

    def __init__(self, data: bytes | mmap.mmap, path: Path, operator_name: Callable[[int], str]) -> None:
        self._size = len(data)
        self._left = len(data)
        self._path = path
        self._operator_name = operator_name

    def file(self, model: Any) -> TfliteFile:
        codes = [self._code(model.OperatorCodes(i)) for i in self._range(model.OperatorCodesLength(), "operator codes")]
        buffers = tuple(self._buffer(model.Buffers(i), i) for i in self._range(model.BuffersLength(), "buffers"))
        subgraphs = self._range(model.SubgraphsLength(), "subgraphs")
        graphs = tuple(self._graph(model.Subgraphs(i), codes, len(buffers)) for i in subgraphs)
        if not graphs:
            raise damaged(self._path, "it has no subgraph")
        metadata = self._range(model.MetadataLength(), "metadata")
        return TfliteFile(
            version=int(model.Version()),
            description=_text(model.Description()),
            subgraphs=graphs,
            buffers=buffers,
            metadata=tuple(_text(model.Metadata(i).Name()) for i in metadata),
        )

    def _range(self, length: int, what: str, width: int = 4) -> range:
        """Numbers of the entries of a vector, whose bytes are taken from what is left to read."""
        self._left -= length * width
        if self._left < 0:
            raise damaged(self._path, f"its {what} are said to be {length:,}, more than the file has room for")
        return range(length)

    def _code(self, code: Any) -> str:
        first = int(code.DeprecatedBuiltinCode())
        number = int(code.BuiltinCode()) if first >= _PLACEHOLDER else max(first, int(code.BuiltinCode()))
        custom = code.CustomCode()
        if custom is not None:
            return _text(custom)
        try:
            return self._operator_name(number)
        except ValueError:  # an operator newer than the schema
            return f"operator {number}"

    def _buffer(self, buffer: Any, number: int) -> int:
        """Bytes of a buffer, within the tables or, in files above 2 GB, after them."""
        within, offset, after = int(buffer.DataLength()), int(buffer.Offset()), int(buffer.Size())
        if offset > 1:  # 0 and 1 say that there is none
            if offset + after > self._size:
                raise damaged(self._path, f"buffer {number} at byte {offset:,} of {after:,} bytes is not all there")
            return after
        self._range(within, f"bytes of buffer {number}", 1)
        return within

    def _graph(self, graph: Any, codes: list[str], buffers: int) -> TfliteGraph:
        numbers = self._range(graph.TensorsLength(), "tensors")
        tensors = tuple(self._tensor(graph.Tensors(i), buffers) for i in numbers)
        operators = self._range(graph.OperatorsLength(), "operators")
        count = len(tensors)
        return TfliteGraph(
            name=_text(graph.Name()),
            tensors=tensors,
            inputs=self._numbers(graph.InputsLength(), graph.Inputs, count),
            outputs=self._numbers(graph.OutputsLength(), graph.Outputs, count),
            operators=tuple(self._operator(graph.Operators(i), codes, count) for i in operators),
        )

    def _operator(self, operator: Any, codes: list[str], tensors: int) -> TfliteOperator:
        code = int(operator.OpcodeIndex())
        if code >= len(codes):
            raise damaged(self._path, f"an operator has code {code}, and there are {len(codes)}")
        return TfliteOperator(
            codes[code],
            self._numbers(operator.InputsLength(), operator.Inputs, tensors),
            self._numbers(operator.OutputsLength(), operator.Outputs, tensors),
        )

    def _numbers(self, length: int, at: Callable[[int], int], tensors: int) -> tuple[int, ...]:
        """Numbers of tensors; -1 stands for one that is absent."""
        numbers = tuple(int(at(i)) for i in self._range(length, "tensor numbers"))
        wrong = next((number for number in numbers if not -1 <= number < tensors), None)
        if wrong is not None:
            raise damaged(self._path, f"tensor {wrong} is asked for, and there are {tensors}")
        return tuple(number for number in numbers if number >= 0)

    def _tensor(self, tensor: Any, buffers: int) -> TfliteTensor:
        name, kind, buffer = _text(tensor.Name()), int(tensor.Type()), int(tensor.Buffer())
        if buffer >= buffers:
            raise damaged(self._path, f"tensor {name!r} is in buffer {buffer}, and there are {buffers}")
        signature = tuple(int(tensor.ShapeSignature(i)) for i in self._range(tensor.ShapeSignatureLength(), "sizes"))
        shape = tuple(int(tensor.Shape(i)) for i in self._range(tensor.ShapeLength(), "sizes"))
        quantization = tensor.Quantization()
        scale: tuple[float, ...] = ()
        zero: tuple[int, ...] = ()
        if quantization is not None:
            scales = self._range(quantization.ScaleLength(), "scales")
            zeros = self._range(quantization.ZeroPointLength(), "zero points", 8)
            scale = tuple(float(quantization.Scale(i)) for i in scales)
            zero = tuple(int(quantization.ZeroPoint(i)) for i in zeros)
        if not all(0 <= value < float("inf") for value in scale):
            raise damaged(self._path, f"a scale of tensor {name!r} is negative or not finite")
        zero = zero or (0,) * len(scale)
        if len(zero) != len(scale):
            raise damaged(self._path, f"tensor {name!r} has {len(scale)} scales and {len(zero)} zero points")
        axis = 0 if quantization is None else int(quantization.QuantizedDimension())
        known = _TYPES[kind] if 0 <= kind < len(_TYPES) else f"type {kind}"
        return TfliteTensor(name, known, signature or shape, scale, zero, axis, buffer)


def _text(raw: bytes | None) -> str:
    return "" if raw is None else printable(raw.decode("utf-8", "backslashreplace"))
