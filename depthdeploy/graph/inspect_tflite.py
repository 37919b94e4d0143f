"""What a TensorFlow Lite file holds; TensorFlow is not needed."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthdeploy.core.digest import sha256_file
from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect_text import bytes_by_layer, counted, largest_rows, ordered
from depthdeploy.graph.tflite_file import TfliteGraph, TfliteTensor, read_tflite

__all__ = ["SubgraphSummary", "TfliteSummary", "TfliteTensor", "inspect_tflite"]


@dataclass(frozen=True, slots=True)
class SubgraphSummary:
    """One subgraph; networks for one purpose have one.

    Attributes:
        name: as stored, often empty.
        inputs: with shape, type and quantization.
        outputs: likewise.
        operators: name -> how many.
        quantized: operators of integer results by a scale -> how many.
        operator_bytes: operator -> bytes of the constants it computes with, the largest first.
        layer_bytes: name of an operator's first result -> bytes of its constants, the largest first.
    """

    name: str
    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    operators: Mapping[str, int]
    quantized: Mapping[str, int]
    operator_bytes: Mapping[str, int]
    layer_bytes: Mapping[str, int]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        return [
            *((("subgraph", self.name),) if self.name else ()),
            *(("input", tensor.text()) for tensor in self.inputs),
            *(("output", tensor.text()) for tensor in self.outputs),
            ("operators", f"{sum(self.operators.values())}: {counted(self.operators)}"),
            *((("quantized operators", counted(self.quantized)),) if self.quantized else ()),
            ("size by operator", counted(self.operator_bytes, " bytes")),
            *largest_rows(self.layer_bytes),
        ]


@dataclass(frozen=True, slots=True)
class TfliteSummary:
    """A TensorFlow Lite file in figures.

    Attributes:
        path: the file.
        sha256: of its bytes.
        bytes: of the file.
        version: of the schema.
        description: as stored.
        precisions: element type of constants -> bytes.
        buffer_bytes: of all buffers: constants, and what else is stored in them.
        metadata: names of entries that the file carries along.
        subgraphs: the first is the one that runs.
    """

    path: Path
    sha256: str
    bytes: int
    version: int
    description: str
    precisions: Mapping[str, int]
    buffer_bytes: int
    metadata: tuple[str, ...]
    subgraphs: tuple[SubgraphSummary, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        rows = [
            ("format", f"TensorFlow Lite, schema version {self.version}"),
            ("description", self.description or "not stated"),
        ]
        for subgraph in self.subgraphs:
            rows += subgraph.rows()
        rows += [
            ("constants", counted(self.precisions, " bytes")),
            ("size", f"{self.bytes:,} bytes, {self.buffer_bytes:,} of them buffers"),
        ]
        if self.metadata:
            rows.append(("metadata", ", ".join(self.metadata)))
        return [*rows, ("sha256", self.sha256)]


def inspect_tflite(path: Path) -> TfliteSummary:
    """Read a TensorFlow Lite file.

    Raises:
        ModelError: the file is missing, no TensorFlow Lite file, or damaged.
        ToolchainMissing: the ``tflite`` package, which holds the schema, is not installed.
    """
    try:
        with path.open("rb") as stream:
            length = stream.seek(0, 2)
            # mapped, so that what is not looked at, above all the buffers, is not read; an empty file has no map
            file = read_tflite(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if length else b"", path)
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause
    precisions: Counter[str] = Counter()
    seen: set[int] = set()
    for graph in file.subgraphs:
        for tensor in graph.tensors:
            if tensor.buffer not in seen and file.buffers[tensor.buffer]:
                precisions[tensor.type] += file.buffers[tensor.buffer]
            seen.add(tensor.buffer)
    return TfliteSummary(
        path=path,
        sha256=sha256_file(path),
        bytes=length,
        version=file.version,
        description=file.description,
        precisions=ordered(precisions),
        buffer_bytes=sum(file.buffers),
        metadata=file.metadata,
        subgraphs=tuple(_summary(graph, file.buffers) for graph in file.subgraphs),
    )


def _summary(graph: TfliteGraph, buffers: tuple[int, ...]) -> SubgraphSummary:
    tensors = graph.tensors
    constants = {number: buffers[one.buffer] for number, one in enumerate(tensors) if buffers[one.buffer]}
    labels = [f"{op.name} {tensors[op.outputs[0]].name if op.outputs else '(no result)'}" for op in graph.operators]
    unique = [f"{number}|{label}" for number, label in enumerate(labels)]  # two operators may have equal labels
    steps = zip(unique, (op.inputs for op in graph.operators), (op.outputs for op in graph.operators), strict=True)
    sizes = bytes_by_layer(constants, steps)
    by_operator: Counter[str] = Counter()
    for key, size in sizes.items():
        by_operator[graph.operators[int(key.partition("|")[0])].name] += size
    by_layer: Counter[str] = Counter()
    for key, size in sizes.items():
        by_layer[key.partition("|")[2]] += size
    quantized = Counter(op.name for op in graph.operators if any(tensors[out].quantized for out in op.outputs))
    return SubgraphSummary(
        name=graph.name,
        inputs=tuple(tensors[number] for number in graph.inputs),
        outputs=tuple(tensors[number] for number in graph.outputs),
        operators=ordered(Counter(op.name for op in graph.operators)),
        quantized=ordered(quantized),
        operator_bytes=ordered(by_operator),
        layer_bytes=ordered(by_layer),
    )
