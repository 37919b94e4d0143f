"""The stages that run once per model: ``export`` and ``canonicalize``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy import registry
from depthdeploy.core.depth import InputContract
from depthdeploy.core.digest import digest_of
from depthdeploy.core.model import ModelCard, NetworkPlugin, OnnxModel, WeightsFormat
from depthdeploy.core.progress import Progress
from depthdeploy.core.request import DEFAULT_MODEL, CompileRequest, InputOptions
from depthdeploy.errors import ModelError, UsageError
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.frontend.foreign_tensors import digest_with_external
from depthdeploy.frontend.parity import check_parity
from depthdeploy.frontend.weights import LocatedWeights, locate_weights
from depthdeploy.inference import OnnxSession
from depthdeploy.pipeline.photographs import Photographs, tensors
from depthdeploy.pipeline.run import Run

#: Photographs on which the exported graph is compared with PyTorch, and a rewritten one with its original.
PARITY_PHOTOGRAPHS = 2

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]

#: A rewrite may differ from its original by float rounding, as a share of the output's range.
SAME_FUNCTION = 1e-3


@dataclass(frozen=True, slots=True)
class Exported:
    """What ``export`` gives.

    Attributes:
        model: the graph.
        source: the model id, or the name of the foreign file.
        licence: SPDX identifier, empty for a foreign file.
        weights_sha256: digest of the weights or of the foreign file.
        parity: the measured difference to PyTorch, in words; empty for a graph that came as ONNX.
        remarks: what was assumed.
    """

    model: OnnxModel
    source: str
    licence: str
    weights_sha256: str
    parity: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """What the stages of every target start from.

    Attributes:
        exported: as it came.
        model: the canonical graph.
        applied: the passes that changed something.
        parameters: values in the float initializers.
        macs: multiply-accumulate operations of one inference.
    """

    exported: Exported
    model: OnnxModel
    applied: tuple[str, ...]
    parameters: int
    macs: int


def versions_of(*packages: str) -> dict[str, str]:
    """Package -> installed version, read without importing; absent packages are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def export(run: Run, request: CompileRequest, photographs: Photographs, *, cache: Path) -> Exported:
    """The network as ONNX, from PyTorch or from a file.

    Raises:
        ModelError: it cannot be found, built or read; ParityError and LicenceError among them.
        UsageError: options contradict one another.
    """
    if request.onnx is not None:
        exported = _import_foreign(run, request, request.onnx)
    else:
        exported = _export_card(run, request, photographs, cache=cache)
    for remark in exported.remarks:
        run.remark(remark)
    return exported


def _import_foreign(run: Run, request: CompileRequest, path: Path) -> Exported:
    if request.weights is not None:
        raise UsageError("--weights belongs to --model; an ONNX file holds its own.", "Leave --weights out.")
    digest = digest_with_external(path)

    def make(folder: Path, _: Progress) -> Exported:
        imported = import_onnx(
            path,
            out=folder / "model.onnx",
            kind=request.output_kind,
            size=request.size,
            options=request.input,
            output=request.output_name,
        )
        return Exported(imported.model, path.name, "", digest, "", imported.remarks)

    said = (request.output_kind, request.size, request.input, request.output_name)
    depends = ("import", digest, path.name, said, versions_of("onnx", "onnx-ir", "onnxscript"))
    return run.stage("export", Exported, depends=depends, make=make, describe=_describe_export)


def _import_card(run: Run, card: ModelCard, contract: InputContract, located: LocatedWeights) -> Exported:
    """A network of the zoo that comes as ONNX: the card says all that a file cannot."""

    def make(folder: Path, _: Progress) -> Exported:
        imported = import_onnx(
            located.path,
            out=folder / "model.onnx",
            kind=card.output.kind,
            size=(contract.height, contract.width),
            options=InputOptions(**{name: getattr(contract, name) for name in InputOptions.__dataclass_fields__}),
            name=card.title,
        )
        model = dataclasses.replace(imported.model, contract=contract, depth=card.output)
        return Exported(model, card.id, card.licence.spdx, located.sha256, "", ())

    depends = ("card", digest_of(card), located.sha256, contract, versions_of("onnx", "onnx-ir", "onnxscript"))
    return run.stage("export", Exported, depends=depends, make=make, describe=_describe_export)


def _describe_export(exported: Exported) -> tuple[int, str]:
    how = f"parity with PyTorch: {exported.parity}" if exported.parity else f"imported {exported.source}"
    return exported.model.path.stat().st_size, f"{exported.model.input}, opset {exported.model.opset}; {how}"


def contract_of(card: ModelCard, request: CompileRequest) -> InputContract:
    """The card's contract with the size and the resize rule that were asked for.

    Raises:
        UsageError: an option would change what the network was trained on.
        ModelError: the network cannot take the size.
    """
    said = {name for name in InputOptions.__dataclass_fields__ if getattr(request.input, name) is not None}
    fixed = said - {"resize", "interpolation"}
    if fixed:
        raise UsageError(
            f"--{', --'.join(sorted(fixed))} would change what {card.id} was trained on.",
            "Leave it out: the card says how its input is normalised. It is meant for --onnx.",
        )
    contract = dataclasses.replace(card.input, **{name: getattr(request.input, name) for name in said})
    if request.size is None:
        return contract
    try:
        return contract.sized(*request.size)
    except ValueError as cause:
        multiple = card.input.multiple
        near = "x".join(str(max(multiple, round(side / multiple) * multiple)) for side in request.size)
        raise ModelError(
            f"{card.id} takes sides that are multiples of {multiple}, not {request.size[0]}x{request.size[1]}.",
            f"Try --size {near}.",
        ) from cause


def _export_card(run: Run, request: CompileRequest, photographs: Photographs, *, cache: Path) -> Exported:
    plugin = registry.models[request.model or DEFAULT_MODEL]
    card = plugin.card
    contract = contract_of(card, request)
    progress = run.listener.started("weights", "")
    located = locate_weights(
        card,
        given=request.weights,
        cache=cache / "weights",
        accepted_licence=request.accepted_licence,
        progress=progress,
    )
    if located.path.suffix.lower() == ".onnx":
        if card.weights.format is not WeightsFormat.ONNX:
            raise UsageError(
                f"{located.path.name} is a graph of its own, and {card.id} is built from a state dict.",
                f"Give it as --onnx {located.path.name} with --output-kind {card.output.kind.value}.",
            )
        return _import_card(run, card, contract, located)
    return _export_torch(run, plugin, contract, located, photographs)


def _export_torch(
    run: Run, plugin: NetworkPlugin, contract: InputContract, located: LocatedWeights, photographs: Photographs
) -> Exported:
    from depthdeploy.frontend.export import export_torch

    card = plugin.card

    def make(folder: Path, _: Progress) -> Exported:
        module = plugin.build(located.path, contract)
        path = folder / "model.onnx"
        model = export_torch(module, name=card.title, contract=contract, depth=card.output, out=path)
        parity = check_parity(module, model, tensors(photographs.calibration, contract, count=PARITY_PHOTOGRAPHS))
        return Exported(model, card.id, card.licence.spdx, located.sha256, str(parity), ())

    photos = photographs.calibration.selection.photos[:PARITY_PHOTOGRAPHS]
    depends = (
        "torch",
        digest_of(card),
        located.sha256,
        contract,
        [photo.digest for photo in photos],
        versions_of("torch", "transformers", "onnx", "onnx-ir", "onnxscript"),
    )
    return run.stage("export", Exported, depends=depends, make=make, describe=_describe_export)


def canonicalize(run: Run, exported: Exported, photographs: Photographs) -> Network:
    """The graph after the target-independent passes, and the proof on photographs that its function is the same.

    Raises:
        ModelError: a pass changed the function; this is a fault of ours, and named as one.
    """
    from depthdeploy.graph.canonicalize import canonicalize_file
    from depthdeploy.graph.count import count

    def make(folder: Path, _: Progress) -> Network:
        result = canonicalize_file(exported.model, folder / "model.onnx")
        counted = count(result.model)
        require_same(run.reference(exported.model).predict, exported.model, result.model, photographs)
        return Network(exported, result.model, tuple(result.applied), counted.parameters, counted.macs)

    def describe(network: Network) -> tuple[int, str]:
        passes = f"{len(network.applied)} passes" if network.applied else "nothing to rewrite"
        figures = f"{network.parameters:,} parameters, {network.macs / 1e9:.2f} GMACs"
        return network.model.path.stat().st_size, f"{passes}, same function; {figures}"

    facts = (exported.source, exported.licence, exported.weights_sha256, exported.parity, exported.remarks)
    depends = (facts, exported.model.meaning, versions_of("onnx-ir", "onnxscript"))
    return run.stage("canonicalize", Network, depends=depends, make=make, describe=describe)


def require_same(before: Predict, original: OnnxModel, rewritten: OnnxModel, photographs: Photographs) -> None:
    """Compare a rewritten graph with its original on one photograph; equal files need no proof.

    Args:
        before: predicts as the original does.
        original: the graph before.
        rewritten: the graph after, with the same input.
        photographs: the first that calibrates is taken.

    Raises:
        ModelError: they differ by more than float rounding.
    """
    if original.sha256 == rewritten.sha256:
        return
    after = OnnxSession(rewritten.path)
    for tensor in tensors(photographs.calibration, original.contract, count=1):
        wanted, found = before(tensor), after.predict(tensor)
        span = float(wanted.max() - wanted.min()) or 1.0
        difference = float(np.abs(wanted - found).max()) / span
        if not difference <= SAME_FUNCTION:
            raise ModelError(
                f"A graph pass changed the function of {original.name} by {difference:.2e} of its output range.",
                "This is a fault of depthdeploy or of the target's plug-in: report it with the file.",
            )
