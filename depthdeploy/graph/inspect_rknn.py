"""What an RKNN file tells without Rockchip's toolkit.

Rockchip does not document the format. What is read here is what the public reader in Netron
(github.com/lutzroeder/netron, MIT, ``source/rknn.js``) and public dumps of files agree on: a container of a header, the
program of the NPU, and a description in JSON. The program itself is not documented anywhere and is told by its size.
All integers are little-endian.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from depthdeploy.core.digest import sha256_file
from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect_text import counted, damaged, ordered, printable

_MAGIC = b"RKNN\0\0\0\0"
_ENCRYPTED = b"CYPTRKNN"
_START = struct.Struct("<8sQQ")
_LENGTH = struct.Struct("<Q")
#: Versions of the container that public readers know; the bit 0x1000 stands in files compiled ahead for one chip.
_VERSIONS = (1, 2, 3, 4, 5, 6, 0x1001, 0x1002, 0x1003, 0x1004)
_UNPADDED = (1, 0x1001)
_PADDING = 40


@dataclass(frozen=True, slots=True)
class RknnSummary:
    """An RKNN file in figures.

    Attributes:
        path: the file.
        sha256: of its bytes.
        bytes: of the file.
        container: version of the container.
        toolkit: version that wrote it, as stored.
        platforms: chips it was compiled for; empty when the file does not say.
        source: what it was converted from, as in ``ONNX``; empty when the file does not say.
        program: kind of the compiled program by its signature.
        program_bytes: of the program, with weights in it.
        description_bytes: of the JSON.
        inputs: ``name int8[1,3,192,256]`` each.
        outputs: likewise.
        nodes: operator -> how many; one, ``RKNN_OP_NNBG``, when the whole network is compiled for the NPU.
        precisions: element type of the tensors described -> how many.
    """

    path: Path
    sha256: str
    bytes: int
    container: int
    toolkit: str
    platforms: tuple[str, ...]
    source: str
    program: str
    program_bytes: int
    description_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: Mapping[str, int]
    precisions: Mapping[str, int]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        sizes = f"program {self.program_bytes:,}, description {self.description_bytes:,}"
        return [
            ("format", f"RKNN, container version {self.container:#x}"),
            ("toolkit", self.toolkit or "not stated"),
            ("target platform", ", ".join(self.platforms) or "not stated"),
            ("converted from", self.source or "not stated"),
            *(("input", text) for text in self.inputs),
            *(("output", text) for text in self.outputs),
            ("tensors", counted(self.precisions)),
            ("operators", counted(self.nodes)),
            ("program", self.program),
            ("size", f"{self.bytes:,} bytes: {sizes}"),
            ("not documented", "the format: no checksum, scale, zero point or size by layer is known in it"),
            ("sha256", self.sha256),
        ]


def inspect_rknn(path: Path) -> RknnSummary:
    """Read an RKNN file, of which the program is not kept in memory.

    Raises:
        ModelError: the file is missing, no RKNN, encrypted, damaged, or of a version that is not known.
    """
    try:
        with path.open("rb") as stream:
            length = stream.seek(0, 2)
            stream.seek(0)
            container, at, size = _located(path, stream.read(_START.size), length)
            stream.seek(at)
            signature = stream.read(min(8, size))
            stream.seek(at + size)
            text = _description(path, stream, at + size, length)
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause
    described = _parsed(path, text, at + size + _LENGTH.size)
    tensors = _listed(described, "norm_tensor")
    inputs, outputs = _ends(described, {_id(one, "tensor_id"): one for one in tensors})
    return RknnSummary(
        path=path,
        sha256=sha256_file(path),
        bytes=length,
        container=container,
        toolkit=_text(described, "version"),
        platforms=tuple(printable(str(one)) for one in _items(described, "target_platform")),
        source=_text(described, "ori_network_platform") or _text(described, "network_platform"),
        program=_program(signature),
        program_bytes=size,
        description_bytes=len(text),
        inputs=inputs,
        outputs=outputs,
        nodes=ordered(Counter(_text(node, "op") or "?" for node in _listed(described, "nodes"))),
        precisions=ordered(Counter(_type(tensor) for tensor in tensors)),
    )


def _located(path: Path, start: bytes, length: int) -> tuple[int, int, int]:
    """Version of the container, and where its program begins and how long it is."""
    if start[:8] == _ENCRYPTED:
        raise ModelError(f"{path} is an encrypted RKNN file.", "Export it without encryption.")
    if start[:8] != _MAGIC:
        found = start[:8].hex(" ") or "nothing"
        raise ModelError(
            f"{path} is no RKNN file: it begins with {found}.", "Give an .rknn file of Rockchip's toolkit."
        )
    if len(start) < _START.size:
        raise damaged(path, f"it ends at byte {len(start)}, within the header")
    _, version, size = _START.unpack(start)
    if version not in _VERSIONS:
        raise ModelError(
            f"{path} has RKNN container version {version:#x} at byte 8, which is not known.",
            "Load it with the toolkit that wrote it.",
        )
    at = _START.size + (0 if version in _UNPADDED or size == 0 else _PADDING)
    if at + size + _LENGTH.size > length:
        raise damaged(
            path, f"its header says {size:,} bytes of program at byte {at}, and the file has {length:,} bytes"
        )
    return version, at, size


def _description(path: Path, stream: BinaryIO, at: int, length: int) -> bytes:
    (size,) = _LENGTH.unpack(stream.read(_LENGTH.size))
    follow = length - at - _LENGTH.size
    if size > follow:
        raise damaged(path, f"byte {at} says {size:,} bytes of description, and {follow:,} follow")
    return stream.read(size)


def _parsed(path: Path, text: bytes, at: int) -> Mapping[str, object]:
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise damaged(path, f"the description at byte {at} is not JSON") from cause
    if not isinstance(described, dict):
        raise damaged(path, f"the description at byte {at} is no JSON object")
    return described


def _program(signature: bytes) -> str:
    if signature[:4] == b"VPMN":
        return "OpenVX binary, not documented"
    if signature[4:8] == b"RKNN":
        return "FlatBuffers, schema not documented"
    return "not documented" if signature else "none"


def _ends(
    described: Mapping[str, object], tensors: Mapping[int, Mapping[str, object]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs and outputs: the ends of the graph that lead to a tensor which the description holds."""
    found: dict[str, list[str]] = {"input": [], "output": []}
    for end in _listed(described, "graph"):
        side = found.get(_text(end, "left"))
        tensor = tensors.get(_id(end, "right_tensor_id"))
        if side is not None and tensor is not None and _text(end, "right") == "norm_tensor":
            side.append(_tensor(tensor))
    return tuple(found["input"]), tuple(found["output"])


def _tensor(tensor: Mapping[str, object]) -> str:
    sizes = ",".join(printable(str(size)) for size in _items(tensor, "size"))
    return f"{_text(tensor, 'url') or 'not named'} {_type(tensor)}[{sizes}]"


def _type(tensor: Mapping[str, object]) -> str:
    dtype = tensor.get("dtype")
    if not isinstance(dtype, dict):
        return "?"
    return _text(dtype, "vx_type").removeprefix("VSI_NN_TYPE_").lower() or "?"


def _text(holder: Mapping[str, object], key: str) -> str:
    value = holder.get(key)
    return printable(value) if isinstance(value, str) else ""


def _id(holder: Mapping[str, object], key: str) -> int:
    value = holder.get(key)
    return value if isinstance(value, int) else -1


def _items(holder: Mapping[str, object], key: str) -> list[object]:
    value = holder.get(key)
    return value if isinstance(value, list) else []


def _listed(holder: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    return [item for item in _items(holder, key) if isinstance(item, dict)]
