"""The constants of a foreign graph: those that lie beside it are read, and what cannot be computed with is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx.numpy_helper import to_array

from depthdeploy.core.digest import sha256_bytes, sha256_file
from depthdeploy.errors import ModelError
from depthdeploy.graph_file import read_proto
from depthdeploy.proto_tensors import byte_count, called, every_graph, every_tensor

#: Protobuf's own end: a graph is handed to ONNX in one message, weights included.
LARGEST = 2**31 - 1

#: Layers in whose weights infinity has no meaning; elsewhere it masks.
_LAYERS = ("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul")


def digest_with_external(path: Path) -> str:
    """The SHA-256 of a graph's file; with that of every file beside it that holds its constants, where there are any.

    Files that are missing, or are none, are left to :func:`load_external`, which names them.

    Raises:
        ModelError: the graph or a file beside it cannot be read, or it is no ONNX graph.
    """
    tensors = (tensor for _, tensor in every_tensor(read_proto(path)))
    entries = (entry for tensor in tensors for entry in tensor.external_data if entry.key == "location")
    beside = sorted({entry.value for entry in entries})
    digests = [
        sha256_file(path),
        *(sha256_file(path.parent / name) for name in beside if (path.parent / name).is_file()),
    ]
    return digests[0] if not beside else sha256_bytes("".join(digests).encode())


def load_external(model: onnx.ModelProto, path: Path) -> None:
    """Read the constants that lie in files beside the graph into it.

    A file beside it may be a link where the graph itself is one and both lead into the same folder, as in the caches of
    Hugging Face; otherwise a graph could name any file of the machine.

    Raises:
        ModelError: a file is missing, too short, or lies elsewhere; or all constants together are above 2 GiB.
    """
    external = [(n, t) for n, t in every_tensor(model) if t.data_location == onnx.TensorProto.EXTERNAL]
    places = [{entry.key: entry.value for entry in tensor.external_data} for _, tensor in external]
    missing = sorted(
        {str(p.get("location", "")) for p in places if not (path.parent / p.get("location", "")).is_file()}
    )
    if missing:
        raise ModelError(
            f"{path} keeps its weights beside it, and there is no {' and no '.join(missing)}.",
            f"Put what is missing into {path.parent}.",
        )
    total = sum(byte_count(tensor) for _, tensor in every_tensor(model))
    if total > LARGEST:
        raise ModelError(
            f"{path} has {total:,} bytes of weights; ONNX's tools end at 2 GiB.", "Give a smaller network, or float16."
        )
    for (name, tensor), place in zip(external, places, strict=True):
        tensor.raw_data = _read(name, tensor, place, path)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _read(name: str, tensor: onnx.TensorProto, place: dict[str, str], path: Path) -> bytes:
    location, needed = place["location"], byte_count(tensor)
    file = path.parent / location
    homes = {path.parent.resolve(), path.resolve().parent}
    if Path(location).is_absolute() or not any(file.resolve().is_relative_to(home) for home in homes):
        raise ModelError(
            f"{path}: {name} is to be read from {location!r}, which is not in the graph's folder.",
            "Do not use this file unless you know why; otherwise put the weights beside the graph.",
        )
    try:
        offset, length = int(place.get("offset") or 0), int(place.get("length") or needed)
    except ValueError:
        offset, length = -1, -1
    if offset < 0 or length != needed or offset + needed > file.stat().st_size:
        raise ModelError(
            f"{path}: {name} needs {needed} bytes of {location!r} from byte {place.get('offset', 0)} on; it states "
            f"{place.get('length', needed)}, and the file has {file.stat().st_size}.",
            "Fetch both files anew.",
        )
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read(needed)
    except OSError as cause:
        raise ModelError(f"{file} cannot be read: {cause.strerror or cause}.", "Check its permissions.") from cause


def check_finite(model: onnx.ModelProto, path: Path) -> None:
    """No constant is NaN, and no layer's weight is infinite.

    Raises:
        ModelError: one is; the message names it and the node that reads it.
    """
    readers = {name: node for g in every_graph(model.graph) for node in reversed(g.node) for name in node.input}
    values = {tensor.name: name for name, tensor in every_tensor(model) if tensor.name}
    for name, tensor in every_tensor(model):
        if tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
            continue
        array, reader = to_array(tensor), readers.get(tensor.name)
        layer = reader is not None and reader.op_type in _LAYERS and tensor.name in values
        bad = int(np.count_nonzero(~np.isfinite(array) if layer else np.isnan(array)))
        if bad:
            where = f", which {called(reader)} reads," if reader is not None and tensor.name in values else ""
            raise ModelError(
                f"{path}: {name}{where} has {bad} of {array.size} values that are not finite.",
                "Fetch or train the network anew: it cannot be computed with.",
            )
