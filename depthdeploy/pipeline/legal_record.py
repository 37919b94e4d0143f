"""How a graph was made legal, in the words of reports and plans."""

from __future__ import annotations

from depthdeploy.core.model import LegalModel
from depthdeploy.core.report import LegalizationRecord
from depthdeploy.core.target import Capabilities
from depthdeploy.graph.legalize import Legalized


def legalization(made: LegalModel | Legalized, able: Capabilities, *, opset: int) -> LegalizationRecord:
    """The record of a graph that was made legal, or was tried to be.

    Args:
        made: what came of it.
        able: the target.
        opset: the operator set that the compiler is given.
    """
    support = made.support
    return LegalizationRecord(
        nodes=support.nodes,
        rewrites=made.rewrites,
        approximations=made.approximations,
        opset=opset,
        host=able.host,
        fallback_nodes=support.fallback_nodes,
        fallback_macs=support.fallback_macs,
        fallbacks=tuple(str(one) for one in support.fallbacks),
        slow=tuple(str(one) for one in support.slow),
        uncertain_nodes=support.uncertain_nodes,
    )
