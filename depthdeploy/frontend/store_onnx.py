"""Graphs that the front end makes, in files: described by themselves, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes import common

from depthdeploy.core.depth import (
    ColorOrder,
    DepthContract,
    DepthKind,
    InputContract,
    InputForm,
    Interpolation,
    Layout,
    ResizeRule,
)
from depthdeploy.core.digest import canonical_json
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.errors import ModelError
from depthdeploy.graph_file import write_graph

#: The names that every graph of ours has at its ends.
INPUT, OUTPUT = "image", "depth"

#: The metadata under which a file of ours carries its contracts, canonical JSON each.
INPUT_KEY, OUTPUT_KEY = "depthdeploy.input", "depthdeploy.output"


def store(model: ir.Model, out: Path, *, name: str, contract: InputContract, depth: DepthContract) -> OnnxModel:
    """Write a graph with its contracts; its handle.

    Documentation, host paths and exporter's notes are left out, so that the bytes depend on the network alone.

    Args:
        model: one input ``image`` and one output ``depth``, shapes static; its notes are removed in place.
        out: where to; replaced when all is written.
        name: the network's name in reports.
        contract: stored in the file's metadata.
        depth: stored in the file's metadata.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    common.ClearMetadataAndDocStringPass()(model)
    for value in (*model.graph.inputs, *model.graph.outputs, *(v for n in model.graph.all_nodes() for v in n.outputs)):
        value.metadata_props.clear()
        value.doc_string = None
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
    model.doc_string = None
    model.graph.name, model.graph.doc_string = name, None
    model.producer_name, model.producer_version, model.domain, model.model_version = "depthdeploy", None, None, None
    model.metadata_props.clear()
    model.metadata_props[INPUT_KEY] = canonical_json(contract).decode()
    model.metadata_props[OUTPUT_KEY] = canonical_json(depth).decode()
    return OnnxModel(
        path=out,
        sha256=write_graph(model, out),
        opset=model.opset_imports[""],
        input=_spec(model.graph.inputs[0]),
        output=_spec(model.graph.outputs[0]),
        contract=contract,
        depth=depth,
        name=name,
    )


def stored_contracts(model: ir.Model) -> tuple[InputContract | None, DepthContract | None]:
    """The contracts in a file's metadata; ``None`` for each that it does not carry.

    Raises:
        ModelError: they are there and cannot be read.
    """
    found = model.metadata_props
    try:
        contract = _input_contract(json.loads(found[INPUT_KEY])) if INPUT_KEY in found else None
        depth = _depth_contract(json.loads(found[OUTPUT_KEY])) if OUTPUT_KEY in found else None
    except (ValueError, KeyError, TypeError) as cause:
        raise ModelError(
            f"The file's metadata {INPUT_KEY} or {OUTPUT_KEY} cannot be read: {cause}.",
            "Export the network anew, or remove the metadata and give the options.",
        ) from cause
    return contract, depth


def _input_contract(found: Mapping[str, object]) -> InputContract:
    mean, std = (tuple(float(v) for v in _list(found[key])) for key in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError("mean and std have 3 values each")
    return InputContract(
        height=int(str(found["height"])),
        width=int(str(found["width"])),
        mean=mean,
        std=std,
        scale=float(str(found["scale"])),
        color=ColorOrder(found["color"]),
        layout=Layout(found["layout"]),
        resize=ResizeRule(found["resize"]),
        interpolation=Interpolation(found["interpolation"]),
        multiple=int(str(found["multiple"])),
        form=InputForm(found.get("form", InputForm.NORMALIZED.value)),
    )


def _depth_contract(found: Mapping[str, object]) -> DepthContract:
    if found.get("tail") is not None:
        raise ValueError("the graph is a part of a network: a host computes the rest")
    near, far = (None if found[key] is None else float(str(found[key])) for key in ("near", "far"))
    return DepthContract(DepthKind(found["kind"]), near, far)


def _list(value: object) -> list[float]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    return value


def _spec(value: ir.Value) -> TensorSpec:
    """The name, element type and static shape of an end of the graph."""
    if value.name is None or value.dtype is None or value.shape is None or not value.shape.is_static():
        raise ModelError(f"{value.name} has no static shape: {value.shape}.", "Give --size HxW.")
    return TensorSpec(value.name, value.dtype.numpy().name, tuple(value.shape.numpy()))
