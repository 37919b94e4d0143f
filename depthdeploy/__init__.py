"""Compile monocular depth networks for edge chips, with proof of their quality."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from depthdeploy.api import calibrations, compile, doctor, inspect, models, plan, recipes, targets
    from depthdeploy.core.plan import Budget
    from depthdeploy.core.request import CompileRequest, Drop, InputOptions
    from depthdeploy.errors import DepthdeployError

__all__ = [
    "Budget",
    "CompileRequest",
    "DepthdeployError",
    "Drop",
    "InputOptions",
    "__version__",
    "calibrations",
    "compile",
    "doctor",
    "inspect",
    "models",
    "plan",
    "recipes",
    "targets",
]

_HOMES = {
    "Budget": "depthdeploy.core.plan",
    "CompileRequest": "depthdeploy.core.request",
    "Drop": "depthdeploy.core.request",
    "InputOptions": "depthdeploy.core.request",
    "DepthdeployError": "depthdeploy.errors",
}


def __getattr__(name: str) -> object:
    """The verbs and their arguments, imported on first use: this package is also loaded inside vendor images."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "depthdeploy.api")), name)
