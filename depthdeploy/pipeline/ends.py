"""The two ends of a network on a chip: opened before it is made legal, finished when its graph is final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from depthdeploy.core.depth import InputContract
from depthdeploy.core.digest import canonical_json
from depthdeploy.core.ends import EndOptions, Taken
from depthdeploy.core.host_tail import HostTail
from depthdeploy.core.model import OnnxModel, QuantizedModel
from depthdeploy.core.support import Allowances
from depthdeploy.core.target import Handover
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.errors import UsageError
from depthdeploy.frontend.store_onnx import INPUT_KEY, OUTPUT_KEY
from depthdeploy.graph.ends import finish_input, prepare_input
from depthdeploy.graph.handover import lowered
from depthdeploy.graph.passes.normalization_folding import Borders
from depthdeploy.graph.support import check_support, refusal
from depthdeploy.graph.tail import Cut, cut_at, cut_tail
from depthdeploy.graph_file import read_graph, write_graph
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.model_stages import versions_of
from depthdeploy.pipeline.run import Run

#: The approximation by which a folded normalisation pads with one grey instead of the mean colour.
FOLDED_BORDERS = "normalization=folded-borders"

#: The name of the host's graph beside an artifact.
TAIL = "tail.onnx"


@dataclass(frozen=True, slots=True)
class Opened:
    """A network whose ends are open: the accelerator's part, its input as calibration needs it.

    Attributes:
        graph: that part.
        contract: what it takes.
        cut: where the host goes on; ``None`` where the accelerator computes everything.
        changed: whether anything differs from the network.
    """

    graph: ir.Model
    contract: InputContract
    cut: Cut | None
    changed: bool


def open_graph(
    graph: ir.Model, contract: InputContract, goal: Destination, options: EndOptions, approximate: Sequence[str] = ()
) -> Opened:
    """Open both ends of a canonical graph; it may be changed in place.

    Args:
        graph: the network.
        contract: what it takes.
        goal: where it goes; its own rule for the tail counts where nothing was said.
        options: what was said.
        approximate: the approximations that were asked for; one of them concerns the input.

    Raises:
        UsageError: the cut is not possible, the target normalises outside of the graph, or the approximation of borders
            changes nothing.
    """
    wanted = options.shaped(contract)
    _require_graph_normalises(goal, options)
    cut = _cut(graph, options, goal)
    graph = graph if cut is None else cut.head
    borders = Borders.CHANNEL
    if FOLDED_BORDERS in approximate:
        _require_padded_image(graph, contract, wanted)
        borders = Borders.ROUNDED
    taken = prepare_input(graph, contract, wanted, borders=borders)
    return Opened(graph, taken, cut, changed=cut is not None or taken != contract)


def open_ends(
    model: OnnxModel, goal: Destination, options: EndOptions, approximate: Sequence[str], folder: Path
) -> OnnxModel:
    """The part of a network that the accelerator computes, and its input as calibration needs it.

    Args:
        model: the canonical network.
        goal: where it goes.
        options: what was said of its ends.
        approximate: the approximations that were asked for.
        folder: where graphs are written, if anything changes.

    Returns:
        The same model when nothing is asked for.

    Raises:
        UsageError: as :func:`open_graph` says.
    """
    opened = open_graph(read_graph(model.path), model.contract, goal, options, approximate)
    if not opened.changed:
        return model
    depth, tail = model.depth, model.tail
    if opened.cut is not None:
        tail = folder / TAIL
        depth = replace(depth, tail=_described(opened.cut, tail))
    handle = replace(model, contract=opened.contract, depth=depth, tail=tail)
    return _written(opened.graph, handle, folder / "opened.onnx")


def of_the_graph(allowances: Allowances) -> Allowances:
    """What is conceded of the graph between its ends."""
    return replace(allowances, approximate=tuple(one for one in allowances.approximate if one != FOLDED_BORDERS))


def finish_ends(run: Run, quantized: QuantizedModel, wanted: InputContract) -> QuantizedModel:
    """The final graph with the input that was asked for; the same value when it has it already."""
    return replace(quantized, model=finished(run, quantized.model, wanted))


def finished(run: Run, model: OnnxModel, wanted: InputContract) -> OnnxModel:
    """A graph with the input that was asked for, stored like a stage's result; the same one when it has it already."""
    if model.contract.form is wanted.form and model.contract.layout is wanted.layout:
        return model

    def make(folder: Path) -> OnnxModel:
        graph = read_graph(model.path)
        contract = finish_input(graph, model.contract, wanted)
        return _written(graph, replace(model, contract=contract), folder / "model.onnx")

    depends = (model.meaning, wanted.form, wanted.layout, versions_of("depthdeploy", "onnx-ir"))
    return run.store.take("ends", depends, OnnxModel, make)[0]


def require_door(model: OnnxModel, goal: Destination, wanted: InputContract, allowances: Allowances) -> None:
    """Insist that a target accepts what will stand at the input of a legal graph.

    Raises:
        UnsupportedGraph: it refuses a cast or a transpose there.
    """
    if model.contract.form is wanted.form and model.contract.layout is wanted.layout:
        return
    graph = read_graph(model.path)
    finish_input(graph, model.contract, wanted)
    able = goal.target.capabilities
    copy = lowered(graph, able.opsets(goal.variant.name)[1])
    error = refusal(check_support(copy.graph, able, goal.variant.name), able, allowances.fallback)
    if error is not None:
        raise error


def _require_graph_normalises(goal: Destination, options: EndOptions) -> None:
    able = goal.target.capabilities
    if options.takes is Taken.UINT8 and able.handover is not Handover.QDQ:
        raise UsageError(
            f"{able.title} is given a float network, and its own tools put the normalisation before it.",
            f"Leave --input uint8 out for {able.target}: its script has the mean and the deviation.",
        )


def _require_padded_image(graph: ir.Model, contract: InputContract, wanted: InputContract) -> None:
    """An approximation that changes nothing is a misunderstanding."""
    exact, rounded = graph.clone(), graph.clone()
    prepare_input(exact, contract, wanted, borders=Borders.CHANNEL)
    prepare_input(rounded, contract, wanted, borders=Borders.ROUNDED)
    if len(exact.graph) == len(rounded.graph):
        raise UsageError(
            f"--approximate {FOLDED_BORDERS} changes nothing: no normalisation goes into a padded convolution.",
            "Leave it out; it belongs to --input uint8.",
        )


def _cut(graph: ir.Model, options: EndOptions, goal: Destination) -> Cut | None:
    if options.cut_at is not None:
        return cut_at(graph, options.cut_at)
    return cut_tail(graph, options.tail or goal.target.capabilities.host_tail)


def _described(cut: Cut, path: Path) -> HostTail:
    digest = write_graph(cut.tail, path)
    ends = [_spec(value) for value in (cut.tail.graph.inputs[0], cut.tail.graph.outputs[0])]
    return HostTail(path.name, digest, ends[0], ends[1], cut.steps)


def _written(graph: ir.Model, model: OnnxModel, path: Path) -> OnnxModel:
    """Write a graph with its contracts in its metadata; the handle with its ends."""
    graph.metadata_props[INPUT_KEY] = canonical_json(model.contract).decode()
    graph.metadata_props[OUTPUT_KEY] = canonical_json(model.depth).decode()
    digest = write_graph(graph, path)
    ends = [_spec(value) for value in (graph.graph.inputs[0], graph.graph.outputs[0])]
    return replace(model, path=path, sha256=digest, input=ends[0], output=ends[1])


def _spec(value: ir.Value) -> TensorSpec:
    if value.dtype is None or value.shape is None:
        raise UsageError(f"The tensor {value.name} has no known shape.", "Cut the network at another node.")
    return TensorSpec(str(value.name), value.dtype.numpy().name, tuple(value.shape.numpy()))
