"""The light half of Horizon: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from depthdeploy.plugin import GraphPass, PackagedTarget

#: Board -> ``march`` (D-Robotics' documentation of RDK S and RDK X5).
MARCHES: Final = {"rdk-s100": "nash-e", "rdk-s100p": "nash-m", "rdk-s600": "nash-p", "rdk-x5": "bayes-e"}


class HorizonTarget(PackagedTarget):
    """The BPU of D-Robotics' RDK boards by OpenExplorer."""

    def default_variant(self) -> str:
        """The commonest board of the series that OpenExplorer 3 serves, RDK S100."""
        return "rdk-s100"

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        """The target's own passes, in order; they are imported only here, so that listing targets stays fast."""
        from depthdeploy_horizon.lowering import passes

        return passes(variant)

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        """What the driver is told besides the graph: the precision, and the BPU by the tools' name for it."""
        return {"precision": precision, "march": MARCHES[variant]}
