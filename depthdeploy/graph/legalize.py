"""The stage ``legalize``: approximations that were asked for, a target's own passes, then its support check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.support import Allowances, Support
from depthdeploy.core.target import GraphPass, Target
from depthdeploy.errors import UsageError
from depthdeploy.graph.approximations import chosen
from depthdeploy.graph.attributes import opset_of
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.handover import lowered
from depthdeploy.graph.passes.common import DeadCodeElimination, Naming, SubexpressionSharing
from depthdeploy.graph.passes.constant_folding import ConstantFolding
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph.support import check_support, refusal
from depthdeploy.graph_file import read_graph, write_graph

#: What rewrites leave behind is cleared away; these undo none of them.
_CLEANING: tuple[GraphPass, ...] = (
    ShapeInference(),
    ConstantFolding(),
    SubexpressionSharing(),
    DeadCodeElimination(),
    Naming(),
)

_NOTHING = Allowances()


@dataclass(frozen=True, slots=True)
class Legalized:
    """What became of a graph for one variant of a target.

    Attributes:
        rewrites: names of the passes that changed something, in order; the function is the same.
        approximations: options of the passes that changed the function, as they were asked for.
        handover: the operator set that the target's compiler is given the graph in.
        support: what the target says of the graph as its compiler is given it.
        given: that graph: the rewritten one itself, or a copy in an older operator set.
    """

    rewrites: tuple[str, ...]
    approximations: tuple[str, ...]
    handover: int
    support: Support
    given: ir.Model = field(compare=False, repr=False)


def make_legal(graph: ir.Model, target: Target, variant: str, allowances: Allowances = _NOTHING) -> Legalized:
    """Rewrite a canonical graph in place for a target's variant, and check it.

    The graph stays in its own operator set. Where the target reads only older ones, a copy is lowered to the newest of
    those, and the copy is what is checked: the same copy is made again when the graph is handed to the compiler.

    Raises:
        UsageError: an approximation is unknown, or changes nothing in this graph.
    """
    rewrites = rewrite(graph, target.lowering(variant), allowances.approximate)
    return judge(graph, target, variant, rewrites=rewrites, approximations=allowances.approximate)


def rewrite(graph: ir.Model, passes: Sequence[GraphPass], approximate: Sequence[str] = ()) -> tuple[str, ...]:
    """Apply approximations, then passes to a fixpoint, in place; the names of those passes that changed something.

    Raises:
        UsageError: an approximation is unknown, or changes nothing in this graph.
    """
    _approximate(graph, approximate)
    rewrites = _rewrite(graph, passes)
    if approximate and not rewrites:
        canonicalize(graph, _CLEANING)
    return rewrites


def judge(
    graph: ir.Model, target: Target, variant: str, *, rewrites: tuple[str, ...], approximations: tuple[str, ...]
) -> Legalized:
    """What a target's variant says of a rewritten graph, which is left as it is."""
    able = target.capabilities
    copy = lowered(graph, able.opsets(variant)[1])
    support = check_support(copy.graph, able, variant)
    if copy.unsayable:
        support = replace(support, rejections=(*copy.unsayable, *support.rejections))
    return Legalized(rewrites, approximations, opset_of(copy.graph), support, copy.graph)


def _approximate(graph: ir.Model, options: Sequence[str]) -> None:
    for one in chosen(options):
        if not one(graph):
            raise UsageError(
                f"--approximate {one.option} changes nothing: the network has nothing of the kind.", "Leave it out."
            )


def _rewrite(graph: ir.Model, passes: Sequence[GraphPass]) -> tuple[str, ...]:
    """Apply passes to a fixpoint; the names of those that changed something, in their order."""
    first = [one.name for one in passes if one(graph)]
    if not first:
        return ()
    applied = {*first, *canonicalize(graph, (*passes, *_CLEANING))}
    return tuple(dict.fromkeys(one.name for one in passes if one.name in applied))


def legalize(
    model: OnnxModel, target: Target, variant: str, out: Path, allowances: Allowances = _NOTHING
) -> LegalModel:
    """Make a graph legal for a target's variant.

    When no pass changes anything the model stays the very same file, so that all targets without rewrites share its
    digest, and with it the statistics of calibration.

    Args:
        model: the canonical graph.
        target: the light half.
        variant: one of its variants.
        out: where the rewritten graph goes, if it is rewritten.
        allowances: which approximations were asked for, and how much may run on the host.

    Raises:
        UnsupportedGraph: the target refuses one or more nodes, or runs more on its host than was allowed; all are
            listed.
        UsageError: an approximation is unknown, or changes nothing in this graph.
        ModelError: the file cannot be read.
        StorageError: the rewritten graph cannot be written.
    """
    graph = read_graph(model.path)
    made = make_legal(graph, target, variant, allowances)
    error = refusal(made.support, target.capabilities, allowances.fallback)
    if error is not None:
        raise error
    if made.rewrites or made.approximations:
        model = replace(model, sha256=write_graph(graph, out), path=out)
    return LegalModel(
        model=model,
        target=target.capabilities.target,
        variant=variant,
        support=made.support,
        rewrites=made.rewrites,
        approximations=made.approximations,
        handover=made.handover,
    )
