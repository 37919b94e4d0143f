"""A network's card, and the handles to its graph from stage to stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.findings import Findings
from depthdeploy.core.quant import QuantPlan
from depthdeploy.core.support import Support
from depthdeploy.core.tensor import TensorSpec

if TYPE_CHECKING:
    import torch


class WeightsFormat(Enum):
    """How a network's weights come."""

    TORCH = "torch"
    """A state dict (``.pt``, ``.pth``, ``.safetensors``) for an architecture of ours."""
    HUGGING_FACE = "hugging-face"
    """A folder or file in the layout of ``transformers``."""
    ONNX = "onnx"
    """A graph: no PyTorch is needed."""


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Where a network's weights are to be had.

    Attributes:
        format: how they come.
        filename: the file's name in the cache.
        url: where it is downloaded from; empty when it is inside this distribution.
        sha256: the file's digest, or as many of its first digits as the publisher states; empty when none is
            published, and then the digest of the first download is recorded and held to.
        packaged: the file's path inside this distribution, empty when it is downloaded.
    """

    format: WeightsFormat
    filename: str
    url: str = ""
    sha256: str = ""
    packaged: str = ""


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which terms weights may be used.

    Attributes:
        spdx: the SPDX identifier.
        url: where the terms stand.
        commercial: whether commercial use is allowed; if not, the user's explicit consent is needed.
    """

    spdx: str
    url: str
    commercial: bool = True


@dataclass(frozen=True, slots=True)
class PublishedMetric:
    """A figure that somebody published about the float network: a reference, never a result of ours."""

    dataset: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The facts of one network.

    Attributes:
        id: the name on the command line.
        title: the name in reports.
        weights: where the weights are to be had.
        licence: the terms of the weights.
        input: the input contract at the default size.
        output: the meaning of the output.
        parameters: weights and biases in the state dict; ``None`` where it is not known exactly.
        parameters_used: weights and biases that the forward pass reads; ``None`` where it is not known exactly.
        paper: where the network is described.
        notes: what a user should know, one or two sentences.
        published: figures of others about the float network.
    """

    id: str
    title: str
    weights: WeightsSource
    licence: Licence
    input: InputContract
    output: DepthContract
    parameters: int | None = None
    parameters_used: int | None = None
    paper: str = ""
    notes: str = ""
    published: tuple[PublishedMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An immutable handle to a stored ONNX file with one image input and one depth output, shapes static.

    Attributes:
        path: the file.
        sha256: the digest of the file (with the digests of its external data, where it has any).
        opset: the version of the default domain.
        input: the image input.
        output: the depth output, ``[1, 1, H, W]`` or ``[1, H, W]`` float32.
        contract: how a photograph becomes the input.
        depth: what the output means.
        name: the network's name in reports.
        tail: the graph that the host computes behind this one, where ``depth`` has such a tail.
    """

    path: Path
    sha256: str
    opset: int
    input: TensorSpec
    output: TensorSpec
    contract: InputContract
    depth: DepthContract
    name: str
    tail: Path | None = None

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the graph computes and what its numbers mean, wherever the file lies: what results depend on."""
        return self.sha256, self.contract, self.depth, self.name


@dataclass(frozen=True, slots=True)
class LegalModel:
    """A graph that a target accepts whole: the only thing that can be calibrated and quantized for it.

    Attributes:
        model: the graph.
        target: who accepts it.
        variant: which chip or instruction set.
        support: what is said of its nodes.
        rewrites: the target's passes that changed something; the function is the same.
        approximations: the options that changed the function, as they were asked for.
        handover: the operator set that the compiler is given the graph in; 0 for the graph's own.

    Raises:
        ValueError: the support check refused a node.
    """

    model: OnnxModel
    target: str
    variant: str
    support: Support
    rewrites: tuple[str, ...] = ()
    approximations: tuple[str, ...] = ()
    handover: int = 0

    def __post_init__(self) -> None:
        if not self.support:
            raise ValueError("a graph with refused nodes is not legal")


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """A legal graph with Q/DQ nodes (or unchanged, at float precision), ready to be compiled.

    Attributes:
        model: the graph with its Q/DQ nodes.
        legal: the graph it was made from.
        precision: ``int8``, ``fp16`` or ``fp32``.
        plan: what was decided; ``None`` at float precision.
        recipe: the recipe's name; empty at float precision.
        findings: what the recipe's steps found and did.
    """

    model: OnnxModel
    legal: LegalModel
    precision: str
    plan: QuantPlan | None
    recipe: str = ""
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class CompiledArtifact:
    """What a target's driver gave back.

    Attributes:
        folder: where the files lie.
        files: name in the folder -> SHA-256, recomputed after the driver returned.
        entry: the file that a runtime opens.
        target: the target.
        variant: its variant.
        precision: ``int8``, ``fp16`` or ``fp32``.
        input: the artifact's input.
        output: the artifact's output.
        versions: package -> version of what compiled it.
        seconds: wall-clock time of the compilation.
        contract: how a photograph becomes the artifact's input.
        depth: what its output means, and what the host computes from it; that graph is among the files.
    """

    folder: Path
    files: Mapping[str, str]
    entry: str
    target: str
    variant: str
    precision: str
    input: TensorSpec
    output: TensorSpec
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    contract: InputContract | None = None
    depth: DepthContract | None = None

    @property
    def tail(self) -> Path | None:
        """The graph that the host computes behind the artifact; ``None`` where the artifact gives the depth."""
        return None if self.depth is None or self.depth.tail is None else self.folder / self.depth.tail.file

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum((self.folder / name).stat().st_size for name in self.files)


@runtime_checkable
class NetworkPlugin(Protocol):
    """A network that can be named after ``--model``."""

    @property
    def card(self) -> ModelCard:
        """The facts of ``card.toml``."""

    def build(self, weights: Path, contract: InputContract) -> torch.nn.Module:
        """The network in evaluation mode with its weights, ready for export at the contract's size.

        It takes ``[1, 3, H, W]`` float32, normalised as the contract says, and gives ``[1, 1, H, W]`` float32. Not
        called when the card's weights are an ONNX graph and no other weights are given.

        Raises:
            ModelError: the file does not fit the architecture (every missing, unexpected and misshapen key is named),
                or the size is one that the network cannot take.
            ToolchainMissing: PyTorch or transformers is not installed.
        """


@runtime_checkable
class OutlinedNetwork(NetworkPlugin, Protocol):
    """A network whose graph is known without its weights, so that it can be planned before anything is downloaded."""

    @property
    def outline(self) -> Path | None:
        """The canonical graph at the card's size without its weights; ``None`` where none is packaged."""

    def drawn(self, contract: InputContract) -> torch.nn.Module:
        """The network with freshly drawn weights, ready for export at the contract's size.

        Raises:
            ModelError: the size is one that the network cannot take.
            ToolchainMissing: PyTorch or transformers is not installed.
        """
