"""Plug-ins by entry point: listed without being imported, loaded one at a time, failing by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from depthdeploy.core.model import NetworkPlugin
from depthdeploy.core.photos import DatasetPlugin
from depthdeploy.core.target import Target
from depthdeploy.errors import DepthdeployError, PluginError, UsageError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """The plug-ins of one kind. Names come from metadata; code is imported by ``registry[name]`` alone."""

    def __init__(self, group: str, kind: type[T], noun: str) -> None:
        self.group = group
        self.kind = kind
        self.noun = noun

    def _declared(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            twin = found.setdefault(point.name, point)
            if twin.value != point.value:
                raise PluginError(
                    f"Two plug-ins call themselves {point.name!r}: {twin.value} and {point.value}.", "Uninstall one."
                )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._declared()))

    def __contains__(self, name: object) -> bool:
        """Whether a plug-in is declared; nothing is imported."""
        return name in self._declared()

    def __len__(self) -> int:
        return len(self._declared())

    def origin(self, name: str) -> str:
        """The distribution that a plug-in comes from, with its version; nothing is imported."""
        point = self._declared()[name]
        return f"{point.dist.name} {point.dist.version}" if point.dist else ""

    def __getitem__(self, name: str) -> T:
        """Import and return one plug-in.

        Raises:
            UsageError: there is none of that name; the nearest names are suggested, never taken.
            PluginError: it does not load, or is not of this kind.
        """
        declared = self._declared()
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}? " if near else ""
            raise UsageError(f"There is no {self.noun} {name!r}.", f"{hint}Installed: {', '.join(sorted(declared))}.")
        point = declared[name]
        try:
            loaded = point.load()
            plugin = loaded() if isinstance(loaded, type) else loaded
        except DepthdeployError:
            raise
        except Exception as cause:  # the plug-in boundary: whatever a stranger's code raises is named as theirs
            raise PluginError(
                f"The {self.noun} plug-in {name!r} ({point.value}) does not load: {type(cause).__name__}: {cause}.",
                "Reinstall or remove it.",
            ) from cause
        if not isinstance(plugin, self.kind):
            raise PluginError(f"{point.value} is not a {self.noun} plug-in.", "Report it to its author.")
        return plugin


targets: Registry[Target] = Registry("depthdeploy.targets", Target, "target")  # type: ignore[type-abstract]
models: Registry[NetworkPlugin] = Registry("depthdeploy.models", NetworkPlugin, "model")  # type: ignore[type-abstract]
datasets: Registry[DatasetPlugin] = Registry("depthdeploy.calibration", DatasetPlugin, "data set")  # type: ignore[type-abstract]
