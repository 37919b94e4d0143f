"""A graph in an older operator set: exactly the same function, or every node that the older set cannot say."""

from __future__ import annotations

from typing import Final

import onnx
import onnx_ir as ir

from depthdeploy.core.support import Rejection
from depthdeploy.errors import UsageError
from depthdeploy.graph.attributes import opset_of
from depthdeploy.graph.opset.conformity import disagreements, rejection
from depthdeploy.graph.opset.functions import definition
from depthdeploy.graph.opset.site import Site, Unsayable
from depthdeploy.graph.opset.table import DEFINED, REWRITES
from depthdeploy.graph.opset.unchanged import UNCHANGED
from depthdeploy.graph.passes.common import DeadCodeElimination, Inlining
from depthdeploy.graph.passes.shape_inference import ShapeInference

#: The oldest set that a graph is lowered to: the ``Resize`` of depth decoders begins here.
OLDEST: Final = 10


def lower_opset(model: ir.Model, version: int) -> tuple[Rejection, ...]:
    """Bring the default domain down to ``version``, in place; what cannot be said there, all of it, is given back.

    A graph that is refused stays as it was, and so does one whose operator set is old enough already. The IR version
    becomes that of the release in which the operator set came.

    Raises:
        UsageError: the version is older than opset 10.
    """
    if version < OLDEST:
        raise UsageError(
            f"Opset {version} is older than {OLDEST}, the oldest that graphs are lowered to.", "Ask for a later one."
        )
    start = opset_of(model)
    if start <= version:
        return ()
    draft = _draft(model, start)
    refused: dict[ir.Node, list[Unsayable]] = {}
    for level in range(start, version, -1):
        for node in tuple(draft.graph.all_nodes()):
            _lower(draft, node, level, refused)
        draft.graph.opset_imports[""] = level - 1
    _conform(draft, version, refused)
    if refused:
        return tuple(dict.fromkeys(rejection(node, fact) for node, facts in refused.items() for fact in facts))
    DeadCodeElimination()(draft)
    model.graph, model.ir_version = draft.graph, min(model.ir_version, ir_version_of(version))
    model.functions.clear()
    return ()


def ir_version_of(opset: int) -> int:
    """The version of the intermediate representation that was released with an operator set.

    A parser of that time refuses files that call themselves younger.
    """
    return min(int(row[1]) for row in onnx.helper.VERSION_TABLE if row[2] >= opset)


def _draft(model: ir.Model, start: int) -> ir.Model:
    """A copy of which every value's type and shape is known as far as can be; weights are shared."""
    draft = model.clone()
    Inlining()(draft)
    draft.graph.opset_imports.pop("ai.onnx", None)
    draft.graph.opset_imports[""] = start
    ShapeInference()(draft)
    return draft


def _lower(draft: ir.Model, node: ir.Node, level: int, refused: dict[ir.Node, list[Unsayable]]) -> None:
    """Say one node, which is of the set ``level``, in the set before."""
    if node.domain != "" or node in refused or node.graph is None or not _changed(node.op_type, level):
        return
    try:
        rewrite = REWRITES.get(node.op_type, {}).get(level)
        site = Site(draft, node, level - 1)
        if rewrite is not None:
            rewrite(site)
        elif DEFINED.get(node.op_type) == level:
            for made in definition(site):
                _lower(draft, made, level, refused)
        elif level not in UNCHANGED.get(node.op_type, ()):
            raise site.refuse(f"has no equal of {node.op_type}", node.op_type, "Export at an older opset.")
    except Unsayable as fact:
        refused[node] = [fact]


def _changed(operator: str, level: int) -> bool:
    """Whether a set changed an operator's definition, or brought it."""
    try:
        return bool(onnx.defs.get_schema(operator, level).since_version == level)
    except onnx.defs.SchemaError:
        return False


def _conform(draft: ir.Model, version: int, refused: dict[ir.Node, list[Unsayable]]) -> None:
    """The last look: nothing of a younger set has come through."""
    for node in draft.graph.all_nodes():
        facts = list(disagreements(node, version)) if node.domain == "" and node not in refused else []
        if facts:
            refused[node] = facts
