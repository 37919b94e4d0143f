"""The end of a network that the host's processor computes, as a value: part of the output contract."""

from __future__ import annotations

from dataclasses import dataclass

from depthdeploy.core.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class HostStep:
    """One operation that the host computes.

    Attributes:
        node: its name in the network.
        operator: the ONNX operator.
        detail: its settings in words: constants, attributes, sizes.
    """

    node: str
    operator: str
    detail: str

    def __str__(self) -> str:
        return f"{self.operator} {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class HostTail:
    """The end of a network that the host computes: an ONNX graph beside the artifact.

    Attributes:
        file: its name.
        sha256: its digest.
        input: what it takes: the artifact's output.
        output: the depth map.
        steps: its operations, in order.
    """

    file: str
    sha256: str
    input: TensorSpec
    output: TensorSpec
    steps: tuple[HostStep, ...]

    def __str__(self) -> str:
        return ", then ".join(str(step) for step in self.steps)
