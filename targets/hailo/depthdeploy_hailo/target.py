"""The light half of Hailo: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depthdeploy.plugin import GraphPass, PackagedTarget


class HailoTarget(PackagedTarget):
    """Hailo's accelerators by the Dataflow Compiler."""

    def default_variant(self) -> str:
        """The first and commonest chip, Hailo-8."""
        return "hailo8"

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        """The target's own passes, in order; they are imported only here, so that listing targets stays fast."""
        from depthdeploy_hailo.lowering import passes

        return passes(variant)

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        """What the driver is told besides the graph: the precision, and the architecture as the compiler spells it."""
        return {"precision": precision, "hw_arch": variant}
