"""The network of a plan: its canonical graph, with weights or without, as fast as it can be had."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from depthdeploy import registry
from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.model import ModelCard, NetworkPlugin, OnnxModel, OutlinedNetwork
from depthdeploy.core.plan import Blocker, GraphSize, NetworkPlan
from depthdeploy.core.progress import Listener
from depthdeploy.core.request import DEFAULT_MODEL, CompileRequest
from depthdeploy.errors import DepthdeployError, ModelError
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.frontend.outline import read_outline, sized_outline
from depthdeploy.frontend.weights import at_hand, require_consent
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.count import count
from depthdeploy.graph_file import read_graph
from depthdeploy.pipeline.model_stages import contract_of


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A canonical graph to plan with, and what is known of the network.

    Attributes:
        graph: canonical; the weights may be stand-ins, the shapes never are.
        network: for the plan.
        blockers: what would keep ``compile`` from the network itself: its licence, its weights.
    """

    graph: ir.Model
    network: NetworkPlan
    blockers: tuple[Blocker, ...] = ()


def blueprint(request: CompileRequest, listener: Listener, *, cache: Path) -> Blueprint:
    """The network that a request names.

    A foreign ONNX is imported. A network of the zoo is taken from its packaged outline where that fits the size, and
    otherwise drawn with random weights and exported, which takes PyTorch and some seconds: its graph is the same.

    Raises:
        ModelError: the network cannot be found, built or read at this size.
        UsageError: options contradict one another.
        ToolchainMissing: it must be drawn, and PyTorch is not installed.
    """
    if request.onnx is not None:
        return _foreign(request, request.onnx)
    plugin = registry.models[request.model or DEFAULT_MODEL]
    contract = contract_of(plugin.card, request)
    graph, origin = _graph(plugin, contract, listener)
    card = plugin.card
    network = _network(graph, name=card.title, source=card.id, origin=origin, contract=contract, depth=card.output)
    network = replace(network, licence=card.licence.spdx, commercial=card.licence.commercial)
    return Blueprint(graph, network, _obstacles(card, request, cache))


def _foreign(request: CompileRequest, path: Path) -> Blueprint:
    with tempfile.TemporaryDirectory() as folder:
        imported = import_onnx(
            path,
            out=Path(folder) / "model.onnx",
            kind=request.output_kind,
            size=request.size,
            options=request.input,
            output=request.output_name,
        )
        graph = _loaded(imported.model)
    canonicalize(graph)
    model = imported.model
    network = _network(
        graph,
        name=model.name,
        source=path.name,
        origin=f"imported from {path}",
        contract=model.contract,
        depth=model.depth,
    )
    return Blueprint(graph, replace(network, remarks=imported.remarks))


def _graph(plugin: NetworkPlugin, contract: InputContract, listener: Listener) -> tuple[ir.Model, str]:
    """The canonical graph of a network of the zoo, and where it came from."""
    card = plugin.card
    if card.weights.packaged:
        return _packaged(card, contract), "imported from the packaged graph"
    if not isinstance(plugin, OutlinedNetwork):
        raise ModelError(
            f"{card.title} cannot be planned without its weights: its plug-in has no outline and draws none.",
            "Export it with compile --until canonicalize, and plan with --onnx FILE.",
        )
    if plugin.outline is not None:
        graph = sized_outline(read_outline(plugin.outline), contract)
        if graph is not None:
            return graph, "its packaged outline, without weights"
    listener.started("export", "")
    return _drawn(plugin, contract), "exported with random weights"


def _packaged(card: ModelCard, contract: InputContract) -> ir.Model:
    with tempfile.TemporaryDirectory() as folder:
        size = (contract.height, contract.width)
        path = Path(folder) / "model.onnx"
        imported = import_onnx(Path(card.weights.packaged), out=path, kind=card.output.kind, size=size)
        graph = _loaded(imported.model)
    canonicalize(graph)
    return graph


def _drawn(plugin: OutlinedNetwork, contract: InputContract) -> ir.Model:
    from depthdeploy.frontend.export import export_torch

    card = plugin.card
    module = plugin.drawn(contract)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        graph = _loaded(export_torch(module, name=card.title, contract=contract, depth=card.output, out=path))
    canonicalize(graph)
    return graph


def _loaded(model: OnnxModel) -> ir.Model:
    """A graph that outlives the folder of its file."""
    graph = read_graph(model.path)
    ir.external_data.load_to_model(graph)
    return graph


def _network(
    graph: ir.Model, *, name: str, source: str, origin: str, contract: InputContract, depth: DepthContract
) -> NetworkPlan:
    histogram = Counter(node.op_type for node in graph.graph)
    return NetworkPlan(
        name=name,
        source=source,
        graph=origin,
        licence="",
        commercial=None,
        opset=graph.opset_imports.get("", 0),
        input=contract,
        output=depth,
        size=graph_size("canonicalize", graph),
        operators=dict(sorted(histogram.items(), key=lambda item: (-item[1], item[0]))),
    )


def graph_size(stage: str, graph: ir.Model) -> GraphSize:
    """Nodes, parameters and operations of a graph; shapes that are not static count no operation."""
    counted = count(graph)
    return GraphSize(stage, sum(counted.nodes.values()), counted.parameters, counted.macs)


def _obstacles(card: ModelCard, request: CompileRequest, cache: Path) -> tuple[Blocker, ...]:
    """Consent that is missing, and weights that cannot be had."""
    return (
        *_refusals(lambda: require_consent(card, request.accepted_licence)),
        *_refusals(lambda: at_hand(card, given=request.weights, cache=cache / "weights")),
    )


def _refusals(ask: Callable[[], None]) -> tuple[Blocker, ...]:
    try:
        ask()
    except DepthdeployError as error:
        return (blocker("export", error),)
    return ()


def blocker(stage: str, error: DepthdeployError) -> Blocker:
    """The error that ``compile`` would end with, as a line of the plan."""
    return Blocker(stage, error.what, error.remedy, error.exit_code)
