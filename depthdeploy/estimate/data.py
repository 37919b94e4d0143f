"""Where a target keeps its performance data: in ``performance.toml``, beside its light half."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from depthdeploy.core.performance import Performance
from depthdeploy.core.performance_file import load_performance
from depthdeploy.core.target import Target

FILE = "performance.toml"


def performance_of(target: Target) -> Mapping[str, Performance]:
    """Variant -> performance; empty for a target that brings no ``performance.toml``: nothing can be estimated then.

    Raises:
        PluginError: the file is not what it must be.
    """
    path = Path(inspect.getfile(type(target))).with_name(FILE)
    return load_performance(path) if path.is_file() else {}
