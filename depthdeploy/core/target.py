"""What a target can do, as data, and the protocol of its light half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from depthdeploy.core.scheme import Scheme

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, slots=True)
class OpRule:
    """One operator that a target runs, and under which conditions.

    Attributes:
        operator: the ONNX operator.
        attributes: attribute -> the values that are accepted; an attribute that is not named is free.
        max_rank: the highest rank of any input or output; ``None`` when it does not matter.
        remedy: what the user can do when a condition fails.
        source: where the vendor documents it.
    """

    operator: str
    remedy: str
    source: str
    attributes: Mapping[str, tuple[str | int | float, ...]]
    max_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a target cannot run one node."""

    node: str
    operator: str
    rule: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.node} ({self.operator}): {self.rule}, found {self.found}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Support:
    """Every refusal, not the first one. Truthy when the whole graph is accepted."""

    rejections: tuple[Rejection, ...]
    nodes: int = 0

    def __bool__(self) -> bool:
        return not self.rejections


@dataclass(frozen=True, slots=True)
class Variant:
    """One chip or instruction set of a target.

    Attributes:
        name: as after the colon in ``--target openvino:cpu-vnni``.
        title: for tables.
        schemes: precision -> number formats; only quantized precisions stand here.
        precisions: every precision, the default first.
        cpu_flags: processor features, as Linux names them, of which the machine that runs an artifact of this variant
            needs at least one; empty when any processor will do.
    """

    name: str
    title: str
    schemes: Mapping[str, Scheme]
    precisions: tuple[str, ...]
    cpu_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do, read from its ``capabilities.toml``.

    Attributes:
        target: the name on the command line.
        title: the name in reports.
        variants: name -> variant.
        operators: operator -> rule.
        opset: the oldest and newest version of the default domain that it reads.
        artifact: the suffix of the file that a runtime opens, such as ``.onnx`` or ``.xml``.
        driver: the module of the heavy half, ``depthdeploy_openvino.driver``.
        sdk: the distribution that the driver needs, as pip names it.
        runs_here: whether this machine can run the artifact, so that it is evaluated itself.
        install: the command, or the sentence, by which a user gets the SDK.
    """

    target: str
    title: str
    variants: Mapping[str, Variant]
    operators: Mapping[str, OpRule]
    opset: tuple[int, int]
    artifact: str
    driver: str
    sdk: str
    runs_here: bool = True
    install: str = ""


@runtime_checkable
class GraphPass(Protocol):
    """A rewrite of a graph in place that does not change the function it computes."""

    @property
    def name(self) -> str:
        """A verb turned noun, such as ``batch-norm-folding``."""

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""


@runtime_checkable
class Target(Protocol):
    """The light half of a target: what the chip can do and how a graph is made legal for it."""

    @property
    def capabilities(self) -> Capabilities:
        """The data of ``capabilities.toml``."""

    def default_variant(self) -> str:
        """The variant for this machine, or the commonest one.

        Raises:
            UsageError: none fits; the message names the choice that the user must make.
        """

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        """The target's own passes, in order."""

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        """What the driver is told besides the graph."""
