"""Artifacts in their own runtime on this machine: predictions, and what was really executed."""

from __future__ import annotations

import contextlib
import importlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.machine import cpu_name, runs_here
from depthdeploy.core.model import CompiledArtifact
from depthdeploy.core.target import Target
from depthdeploy.errors import DepthdeployError, ToolchainFailed, ToolchainMissing, UsageError

#: What an artifact takes: normalised numbers, or a camera's pixels.
InputTensor = NDArray[np.float32] | NDArray[np.uint8]

#: Name, operator and precision (``int8``, ``fp32``, ``fp16``, ``conversion``) of one executed node.
ExecutedNode = tuple[str, str, str]


class DriverRunner(Protocol):
    """What a driver's ``open_runner(artifact, settings)`` gives: numpy arrays in, numpy arrays out."""

    def predict(self, x: InputTensor) -> NDArray[np.float32]:
        """The prediction for one input tensor."""

    def profile(self, x: InputTensor) -> list[ExecutedNode]:
        """Every node that a run executes, by the runtime's own account."""

    def describe(self) -> str:
        """Runtime, version, device and threads."""

    def close(self) -> None:
        """Free what is held."""


class Runner:
    """An artifact that is open in its own runtime. Whatever the SDK raises becomes ``ToolchainFailed``."""

    def __init__(self, inner: DriverRunner, artifact: CompiledArtifact) -> None:
        self._inner = inner
        self._artifact = artifact

    def predict(self, tensor: InputTensor) -> NDArray[np.float32]:
        """The prediction for one input tensor, float32, in the shape of the artifact's output.

        Raises:
            ToolchainFailed: the tensor is of another shape or element type, the runtime reports an error, or the
                prediction has another shape.
        """
        taken = self._artifact.input
        if tensor.shape != taken.shape or tensor.dtype.name != taken.dtype:
            raise ToolchainFailed(f"The artifact takes {taken}, found {tensor.dtype.name}{list(tensor.shape)}.")
        given: InputTensor = np.ascontiguousarray(tensor)  # type: ignore[assignment]  # numpy forgets which of the two
        with _blamed(f"{self._artifact.entry} cannot be run"):
            prediction = self._inner.predict(given)
        if prediction.shape != self._artifact.output.shape:
            raise ToolchainFailed(f"The artifact gives {self._artifact.output}, found {prediction.shape}.")
        return prediction

    def profile(self, tensor: InputTensor) -> tuple[ExecutedNode, ...]:
        """Every node that a run executes: name, operator, precision, by the runtime's own account.

        Raises:
            ToolchainFailed: the runtime reports an error.
        """
        given: InputTensor = np.ascontiguousarray(tensor)  # type: ignore[assignment]  # numpy forgets which of the two
        with _blamed(f"{self._artifact.entry} cannot be profiled"):
            return tuple(self._inner.profile(given))

    def describe(self) -> str:
        """Runtime, version, device, threads and processor, for reports."""
        return f"{self._inner.describe()}, {cpu_name()}"

    def close(self) -> None:
        """Free what the runtime holds."""
        self._inner.close()


@contextlib.contextmanager
def open_runner(artifact: CompiledArtifact, target: Target, *, threads: int) -> Iterator[Runner]:
    """An artifact in its own runtime, in this process.

    Args:
        artifact: what was compiled.
        target: the light half of its target.
        threads: within an operator.

    Raises:
        UsageError: this processor lacks the instructions that the artifact's variant was made for.
        ToolchainMissing: the runtime is not installed.
        ToolchainFailed: the runtime refuses the artifact.
    """
    able = target.capabilities
    if not runs_here(able, artifact.variant):
        needed = " or ".join(able.variants[artifact.variant].cpu_flags) or "the chip itself"
        raise UsageError(
            f"{able.title} {artifact.variant} needs {needed}, which this machine ({cpu_name()}) does not have.",
            "Run the artifact where it belongs, or compile for this machine.",
        )
    try:
        driver = importlib.import_module(able.driver)
    except ImportError as cause:
        raise ToolchainMissing(f"{able.sdk} cannot be imported ({cause}).", f"Install it: `{able.install}`.") from cause
    settings: Mapping[str, object] = {**target.settings(artifact.variant, artifact.precision), "threads": threads}
    with _blamed(f"{able.title} cannot open {artifact.entry}"):
        inner: DriverRunner = driver.open_runner(str(artifact.folder / artifact.entry), settings)
    runner = Runner(inner, artifact)
    try:
        yield runner
    finally:
        runner.close()


@contextlib.contextmanager
def _blamed(what: str) -> Iterator[None]:
    """The plug-in boundary: an exception of the SDK becomes ours, with the SDK's own words."""
    try:
        yield
    except DepthdeployError:
        raise
    except Exception as cause:
        raise ToolchainFailed(f"{what}: {type(cause).__name__}: {cause}") from cause


def count_precisions(profile: Sequence[ExecutedNode]) -> dict[str, int]:
    """How many executed nodes ran in which precision; conversions between precisions and layouts stand apart."""
    return dict(sorted(Counter(precision for _, _, precision in profile).items()))
