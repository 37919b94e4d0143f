"""Graphs in files: read, and written whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from depthdeploy.core.digest import sha256_bytes, sha256_file
from depthdeploy.errors import ModelError, StorageError
from depthdeploy.proto_structure import check_structure
from depthdeploy.proto_tensors import check_tensors, check_text

#: Above this the tensors go to a file of their own: protobuf ends at 2 GiB.
_ONE_FILE = 1_800_000_000


#: How files begin that are given for graphs by mistake.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive, as PyTorch's checkpoints are",
    b"\x80\x02": "a Python pickle, as PyTorch's old checkpoints are",
    b"\x89HDF": "an HDF5 file, as Keras's weights are",
    b"version https://git-lfs": "a pointer of Git LFS: the file itself was not fetched",
    b"<": "a page of HTML or XML: a download that failed",
    b"\x1f\x8b": "gzip",
    b"{": "JSON",
}

#: Protobuf's own end.
_LARGEST_MESSAGE = 2**31 - 1


def read_proto(path: Path) -> onnx.ModelProto:
    """The protobuf of a graph; what lies in files beside it is not read.

    Raises:
        ModelError: the file is missing, cannot be read, or is no ONNX graph; or a constant is not what it says.
    """
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder.", "Give the .onnx file in it.")
        size = path.stat().st_size
        if size > _LARGEST_MESSAGE:
            raise ModelError(
                f"{path} has {size:,} bytes; an ONNX file ends at 2 GiB.",
                "Export the network with its weights as external data.",
            )
        data = path.read_bytes()
    except (OSError, ValueError) as cause:
        raise ModelError(
            f"{path} cannot be read: {getattr(cause, 'strerror', None) or cause}.", "Check the path."
        ) from cause
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as cause:
        raise ModelError(f"{path} is not an ONNX graph{_kind(data)}: {cause}.", "Give an .onnx file, whole.") from cause
    if not model.graph.node or not model.ir_version:
        raise ModelError(f"{path} holds no ONNX graph{_kind(data)} ({len(data)} bytes).", "Give an .onnx file, whole.")
    check_text(model, path)
    check_tensors(model, path)
    return model


def _kind(data: bytes) -> str:
    known = next((kind for start, kind in _OTHER_KINDS.items() if data.startswith(start)), "")
    known = "a TensorFlow Lite file" if data[4:8] == b"TFL3" else known
    return f" but {known}" if known else ""


def read_graph(path: Path) -> ir.Model:
    """The graph in a file, its nodes in order; tensors that lie beside it are read when they are asked for.

    Raises:
        ModelError: the file is missing, cannot be read, or is no ONNX graph; a value has two origins or none, or nodes
            depend on themselves.
    """
    proto = read_proto(path)
    check_structure(proto, path)
    try:
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, path.parent)
    except (DecodeError, ir.serde.SerdeError, ValueError, KeyError, TypeError) as cause:
        raise ModelError(f"{path} is not an ONNX graph: {cause}.", "Give an .onnx file.") from cause
    return model


def write_graph(model: ir.Model, out: Path) -> str:
    """Write a graph; its digest. The bytes depend on the graph alone; what stood there is replaced when all is written.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    data = f"{out.name}.data" if size > _ONE_FILE else None
    if data is None:  # what lies in a file beside the old place would not lie beside the new one
        ir.external_data.load_to_model(model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            ir.save(model, Path(folder) / out.name, external_data=data)
            for name in (data, out.name):
                if name is not None:
                    (Path(folder) / name).replace(out.parent / name)
    except OSError as cause:
        raise StorageError(
            f"{out} cannot be written: {cause.strerror or cause}.", "Free space, or choose another place."
        ) from cause
    parts = [sha256_file(out.parent / name) for name in (out.name, data) if name is not None]
    return parts[0] if len(parts) == 1 else sha256_bytes("".join(parts).encode())
