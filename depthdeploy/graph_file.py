"""Graphs in files: read, and written whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from depthdeploy.core.digest import sha256_bytes, sha256_file
from depthdeploy.errors import ModelError, StorageError

#: Above this the tensors go to a file of their own: protobuf ends at 2 GiB.
_ONE_FILE = 1_800_000_000


def read_graph(path: Path) -> ir.Model:
    """The graph in a file.

    Raises:
        ModelError: the file is missing, cannot be read, or is no ONNX graph.
    """
    try:
        return ir.load(path)
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause
    except (DecodeError, ir.serde.SerdeError, ValueError, KeyError, TypeError) as cause:
        raise ModelError(f"{path} is not an ONNX graph: {cause}.", "Give an .onnx file.") from cause


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
