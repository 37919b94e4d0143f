"""The light half of Hailo: importing it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from depthdeploy.plugin import Capabilities, GraphPass, Performance, load_capabilities, load_performance


class HailoTarget:
    """Hailo's accelerators by the Dataflow Compiler."""

    @cached_property
    def capabilities(self) -> Capabilities:
        """The data of ``capabilities.toml``."""
        return load_capabilities(Path(__file__).with_name("capabilities.toml"))

    @cached_property
    def performance(self) -> Mapping[str, Performance]:
        """The data of ``performance.toml``."""
        return load_performance(Path(__file__).with_name("performance.toml"))

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
