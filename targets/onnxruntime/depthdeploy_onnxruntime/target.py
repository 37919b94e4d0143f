r"""The light half of ONNX\ Runtime: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from depthdeploy.plugin import (
    Capabilities,
    GraphPass,
    Performance,
    load_capabilities,
    load_performance,
    variant_for_this_cpu,
)
from depthdeploy_onnxruntime.lowering import PASSES


class OnnxRuntimeTarget:
    r"""ONNX\ Runtime on the CPU, by the integer instructions of the processor that will run the artifact."""

    @cached_property
    def capabilities(self) -> Capabilities:
        """The data of ``capabilities.toml``."""
        return load_capabilities(Path(__file__).with_name("capabilities.toml"))

    @cached_property
    def performance(self) -> Mapping[str, Performance]:
        """The data of ``performance.toml``."""
        return load_performance(Path(__file__).with_name("performance.toml"))

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
