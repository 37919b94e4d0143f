"""The target-independent passes, in order, to a fixpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.target import GraphPass
from depthdeploy.errors import ModelError
from depthdeploy.graph.passes.affine_folding import AffineFolding
from depthdeploy.graph.passes.batch_norm_folding import BatchNormFolding
from depthdeploy.graph.passes.clip_unification import ClipUnification
from depthdeploy.graph.passes.common import ConstantLifting, DeadCodeElimination, Inlining, Naming, SubexpressionSharing
from depthdeploy.graph.passes.constant_branch_inlining import ConstantBranchInlining
from depthdeploy.graph.passes.constant_folding import ConstantFolding
from depthdeploy.graph.passes.explicit_padding import ExplicitPadding
from depthdeploy.graph.passes.nan_guard_removal import NanGuardRemoval
from depthdeploy.graph.passes.no_op_elimination import NoOpElimination
from depthdeploy.graph.passes.pad_folding import PadFolding
from depthdeploy.graph.passes.reordering_fusion import ReorderingFusion
from depthdeploy.graph.passes.scale_hoisting import ScaleHoisting
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph_file import read_graph, write_graph

#: Shapes first: most passes decide by them. Names last, so that what passes made is named too.
PASSES: tuple[GraphPass, ...] = (
    Inlining(),
    ConstantLifting(),
    ShapeInference(),
    ConstantFolding(),
    ConstantBranchInlining(),
    NoOpElimination(),
    ReorderingFusion(),
    ExplicitPadding(),
    PadFolding(),
    BatchNormFolding(),
    AffineFolding(),
    ScaleHoisting(),
    ClipUnification(),
    NanGuardRemoval(),
    SubexpressionSharing(),
    DeadCodeElimination(),
    Naming(),
)

#: Rounds after which a pass must be undoing another one's work. Networks need three or four.
_ROUNDS = 32


@dataclass(frozen=True, slots=True)
class Canonicalized:
    """A canonical graph and what was done to get there.

    Attributes:
        model: the graph.
        applied: names of the passes that changed something, in their order.
    """

    model: OnnxModel
    applied: tuple[str, ...]


def canonicalize(model: ir.Model, passes: Sequence[GraphPass] = PASSES) -> tuple[str, ...]:
    """Rewrite a graph in place until no pass changes anything; the names of those that did.

    Raises:
        ModelError: the passes do not come to rest.
    """
    applied: set[str] = set()
    changing: list[str] = []
    for _ in range(_ROUNDS):
        changing = [one.name for one in passes if one(model)]
        applied.update(changing)
        if not changing:
            return tuple(one.name for one in passes if one.name in applied)
    raise ModelError(
        f"The graph did not come to rest in {_ROUNDS} rounds of passes; the last one was changed by "
        f"{', '.join(changing)}.",
        "Report the network: two passes undo one another.",
    )


def canonicalize_file(model: OnnxModel, out: Path) -> Canonicalized:
    """The canonical form of a stored graph, written to ``out``: the same function, names and contracts.

    Raises:
        ModelError: the file is missing or damaged, or the passes do not come to rest.
    """
    graph = read_graph(model.path)
    applied = canonicalize(graph)
    digest = write_graph(graph, out)
    opset = graph.opset_imports.get("", model.opset)
    return Canonicalized(replace(model, path=out, sha256=digest, opset=opset), applied)
