"""Any depth network that comes as ONNX: checked, brought to our operator set, its contracts said aloud."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import onnx_ir as ir

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.request import InputOptions
from depthdeploy.errors import ModelError, UsageError
from depthdeploy.frontend.foreign_branches import settle_branches
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
from depthdeploy.frontend.foreign_trial import compared, see_output_shape, trial
from depthdeploy.frontend.opset import opset_of, upgrade
from depthdeploy.frontend.store_onnx import store, stored_contracts


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
    read = ir.from_proto(original)
    own, meaning = stored_contracts(read)
    image = image_input(read)
    layout = image_layout(image, said.layout if said.layout is not None or own is None else own.layout)
    sides, resized = image_size(image, layout, size)
    contract, remarks = _contract(said, own, sides)
    contract = replace(contract, layout=layout)
    depth = _meaning(kind, meaning, path)
    stated = [side for side in image.shape or () if isinstance(side, int)]
    resized = resized or (len(stated) == 4 and tuple(stated) != tuple(contract.shape))  # another batch, say
    settled = settle_branches(original, str(image.name), contract.shape)
    graph = ir.from_proto(upgrade(settled))
    depth_output(graph, output)
    fix_input(graph, image_input(graph), contract.shape)
    asked = f"{sides[0]}x{sides[1]}"
    inferred = ir.from_proto(infer_shapes(ir.to_proto(graph), asked))
    see_output_shape(inferred, contract.shape, asked)
    fix_output(inferred, inferred.graph.outputs[0], sides)
    model = store(inferred, out, name=name or path.stem, contract=contract, depth=depth)
    try:
        found = trial(model, asked)
        before = opset_of(original)
        if before != model.opset:
            change = "" if resized else compared(path, original, model, found, output)
            remarks = (*remarks, f"opset {before} brought to {model.opset}{change}")
    except ModelError:
        for left in (out, out.with_name(f"{out.name}.data")):
            left.unlink(missing_ok=True)
        raise
    if settled is not original:
        remarks = (*remarks, f"branches decided for {asked}: the network cannot change its size any more")
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
