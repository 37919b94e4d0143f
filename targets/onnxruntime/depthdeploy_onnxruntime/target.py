r"""The light half of ONNX\ Runtime: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depthdeploy.plugin import GraphPass, PackagedTarget, variant_for_this_cpu
from depthdeploy_onnxruntime.lowering import PASSES


class OnnxRuntimeTarget(PackagedTarget):
    r"""ONNX\ Runtime on the CPU, by the integer instructions of the processor that will run the artifact."""

    def default_variant(self) -> str:
        """The variant for this machine's processor.

        Raises:
            UsageError: the system does not tell the processor's features.
        """
        return variant_for_this_cpu(self.capabilities)

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        """The target's own passes, in order."""
        return PASSES

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        """What the driver is told besides the graph: the precision."""
        return {"precision": precision}
