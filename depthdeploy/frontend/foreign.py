"""Any depth network that comes as ONNX: checked, brought to our operator set, its contracts said aloud."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.request import InputOptions
from depthdeploy.errors import ModelError, UsageError
from depthdeploy.frontend.foreign_ends import (
    depth_output,
    fix_input,
    fix_output,
    image_input,
    image_layout,
    image_size,
    infer_shapes,
)
from depthdeploy.frontend.foreign_file import open_onnx
from depthdeploy.frontend.opset import opset_of, upgrade
from depthdeploy.frontend.store_onnx import store, stored_contracts
from depthdeploy.inference import OnnxSession

#: The largest change that an opset upgrade may make, as a share of the output's range.
_SAME = 1e-3


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A foreign network, and what the report must say about how it was read.

    Attributes:
        model: the graph at opset 18 or later, input ``image``, output ``depth``, shapes static.
        remarks: what was assumed or changed, one sentence each.
    """

    model: OnnxModel
    remarks: tuple[str, ...]


def import_onnx(
    path: Path,
    *,
    out: Path,
    kind: DepthKind | None = None,
    size: tuple[int, int] | None = None,
    options: InputOptions | None = None,
    output: str | None = None,
    name: str | None = None,
) -> ImportedModel:
    """Read a foreign depth network.

    What the input means is taken from the options, then from the file's metadata where it is one of ours, then assumed
    to be RGB in 0..1; an assumption is always a remark. What the output means is never assumed.

    Args:
        path: the file.
        out: where the graph is written.
        kind: what the network predicts; needed unless the file's metadata says it.
        size: ``(height, width)``; needed where the file leaves the sides free.
        options: what is said about the input.
        output: the depth map's name, where there are several outputs.
        name: in reports; the file's name without its suffix by default.

    Raises:
        UsageError: a choice is missing or contradicts the file; the message names the option.
        ModelError: the file is missing, damaged, no depth network, or does not take the size.
        StorageError: the disk is full, or the folder cannot be written.
    """
    said = options or InputOptions()
    original = open_onnx(path)
    graph = ir.from_proto(upgrade(original))
    own, meaning = stored_contracts(graph)
    image = image_input(graph)
    layout = image_layout(image, said.layout if said.layout is not None or own is None else own.layout)
    sides, resized = image_size(image, layout, size)
    contract, remarks = _contract(said, own, sides)
    contract = replace(contract, layout=layout)
    depth = _meaning(kind, meaning, path)
    depth_output(graph, output)
    fix_input(graph, image, contract.shape)
    asked = f"{sides[0]}x{sides[1]}"
    inferred = ir.from_proto(infer_shapes(ir.to_proto(graph), asked))
    fix_output(inferred, inferred.graph.outputs[0], sides)
    model = store(inferred, out, name=name or path.stem, contract=contract, depth=depth)
    found = _run(model, asked)
    before = opset_of(original)
    if before != model.opset:
        compared = "" if resized else _compared(path, original, model, found, output)
        remarks = (*remarks, f"opset {before} brought to {model.opset}{compared}")
    return ImportedModel(model, remarks)


def _contract(
    said: InputOptions, own: InputContract | None, sides: tuple[int, int]
) -> tuple[InputContract, tuple[str, ...]]:
    """The input contract, and what was assumed of it."""
    changes = {field.name: getattr(said, field.name) for field in fields(said)}
    changes = {name: value for name, value in changes.items() if value is not None}
    base = own or InputContract(*sides)
    try:
        contract = replace(base, height=sides[0], width=sides[1], **changes)
    except ValueError as cause:
        raise UsageError(
            f"The input cannot be as asked: {cause}.", "Change --size, --mean, --std or --input-range."
        ) from cause
    if own is not None:
        overruled = sorted(name for name, value in changes.items() if value != getattr(own, name))
        return contract, ((f"input contract of the file overruled: {', '.join(overruled)}",) if overruled else ())
    open_ = {"mean", "std", "scale", "color", "resize", "interpolation"} - set(changes)
    if not open_:
        return contract, ()
    assumed = (
        f"input contract assumed where nothing was said: {contract.color.value.upper()} in 0..{contract.scale:g}, "
        f"mean {_triple(contract.mean)}, std {_triple(contract.std)}, {contract.resize.value} "
        f"{contract.interpolation.value} (not said: {', '.join(sorted(open_))})"
    )
    return contract, (assumed,)


def _triple(values: tuple[float, float, float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _meaning(kind: DepthKind | None, stored: DepthContract | None, path: Path) -> DepthContract:
    if kind is not None:
        return stored if stored is not None and stored.kind is kind else DepthContract(kind)
    if stored is None:
        kinds = ", ".join(one.value for one in DepthKind)
        raise UsageError(f"{path.name} does not say what it predicts.", f"Add --output-kind with one of {kinds}.")
    return stored


def _run(model: OnnxModel, asked: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One run: sizes that are baked into the graph and do not fit show here at the latest."""
    session = OnnxSession(model.path)
    try:
        return session.predict(_probe(model))
    except Exception as cause:  # ONNX Runtime raises its own untyped exceptions
        raise ModelError(
            f"The graph does not run at {asked}: {' '.join(str(cause).split())}",
            "Give the network's own size after --size, or export it for this one.",
        ) from cause


def _probe(model: OnnxModel) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One noise image in the input's units, always the same."""
    return np.random.default_rng(0).uniform(0, model.contract.scale, model.input.shape).astype(np.float32)


def _compared(
    path: Path,
    original: onnx.ModelProto,
    model: OnnxModel,
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    output: str | None,
) -> str:
    """How much the upgrade changed on one image, in words.

    Raises:
        ModelError: the upgraded graph is another function.
    """
    chosen = output or original.graph.output[0].name
    image = next(v for v in original.graph.input if v.name not in {i.name for i in original.graph.initializer})
    dtype = onnx.helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    expected = np.asarray(OnnxSession(path).run(_probe(model).astype(dtype), [chosen])[0], dtype=np.float32)
    span = float(np.ptp(expected)) or 1.0
    change = float(np.abs(expected.reshape(found.shape) - found).max()) / span
    if not change <= _SAME:
        raise ModelError(
            f"{path.name} computes something else after its upgrade to opset {model.opset}: {change:.1e} of the range.",
            f"Export the network anew with opset {model.opset} or later.",
        )
    return f"; the output changed by {change:.1e} of its range"
