"""The light half of RKNN: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depthdeploy.plugin import GraphPass, PackagedTarget


class RknnTarget(PackagedTarget):
    """Rockchip's NPUs by RKNN-Toolkit2."""

    def default_variant(self) -> str:
        """The commonest chip, RK3588."""
        return "rk3588"

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        """The target's own passes, in order; they are imported only here, so that listing targets stays fast."""
        from depthdeploy_rknn.lowering import passes

        return passes(variant)

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        """What the driver is told besides the graph: the precision, and the platform as the toolkit spells it."""
        return {"precision": precision, "target_platform": variant}
