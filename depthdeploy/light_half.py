"""What the light half of every target shares: its data lie in files beside its module."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from depthdeploy.core.capabilities import load_capabilities
from depthdeploy.core.performance import Performance
from depthdeploy.core.performance_file import load_performance
from depthdeploy.core.target import Capabilities


class PackagedTarget:
    """A target whose ``capabilities.toml`` and ``performance.toml`` lie beside the module of its class."""

    @cached_property
    def capabilities(self) -> Capabilities:
        """The data of ``capabilities.toml``.

        Raises:
            PluginError: the file is missing or wrong.
        """
        return load_capabilities(self._beside("capabilities.toml"))

    @cached_property
    def performance(self) -> Mapping[str, Performance]:
        """The data of ``performance.toml``.

        Raises:
            PluginError: the file is missing or wrong.
        """
        return load_performance(self._beside("performance.toml"))

    def _beside(self, name: str) -> Path:
        return Path(str(sys.modules[type(self).__module__].__file__)).with_name(name)
