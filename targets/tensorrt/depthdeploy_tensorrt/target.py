"""The light half of TensorRT: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depthdeploy.plugin import GraphPass, PackagedTarget


class TensorrtTarget(PackagedTarget):
    """NVIDIA's Jetson modules by the TensorRT of their JetPack."""

    def default_variant(self) -> str:
        """The commonest module with integer tensor cores, AGX Orin."""
        return "orin"

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        """The target's own passes, in order; they are imported only here, so that listing targets stays fast."""
        from depthdeploy_tensorrt.lowering import passes

        return passes(variant)

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        """What the driver is told besides the graph: the precision, and the module, whose TensorRT decides."""
        return {"precision": precision, "module": variant}
