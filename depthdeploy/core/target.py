"""What a target can do, as data, and the protocol of its light half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from depthdeploy.core.ends import TailRule
from depthdeploy.core.performance import Performance
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.support import Effect, OpRule

if TYPE_CHECKING:
    import onnx_ir as ir


class Handover(Enum):
    """The form in which a quantized network is given to a target's compiler."""

    QDQ = "q/dq onnx"
    """Our scales and zero points as QuantizeLinear and DequantizeLinear nodes."""
    FLOAT = "float onnx"
    """The float network: the vendor's tool quantizes it."""


@dataclass(frozen=True, slots=True)
class CalibrationAdvice:
    """How many photographs a vendor asks for.

    Attributes:
        minimum: below this the vendor's own tool does less, or worse; 0 when nothing is said.
        typical: what the vendor's examples use, in words.
        source: where the vendor says so.
        uncertain: whether the source is second-hand or contradicted.
    """

    minimum: int
    typical: str
    source: str
    uncertain: bool = False


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
        opset: the oldest and newest version of the default domain that it reads; the target's own when ``None``.
        operators: rules of this variant alone; they come before the target's own.
        aliases: other names that mean this variant, such as ``jetson-orin``.
        device: the unit that runs its artifacts, such as ``NPU``, where that is not a processor of ``cpu_flags``: what
            needs it is not evaluated on this machine.
        artifact: the suffix of the file that its runtime opens; the target's own when empty.
        uncertain: whether the rules are inferred for this variant from another one's: all of them are then uncertain.
    """

    name: str
    title: str
    schemes: Mapping[str, Scheme]
    precisions: tuple[str, ...]
    cpu_flags: tuple[str, ...] = ()
    opset: tuple[int, int] | None = None
    operators: Mapping[str, OpRule] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    device: str = ""
    artifact: str = ""
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do, read from its ``capabilities.toml``.

    Attributes:
        target: the name on the command line.
        title: the name in reports.
        variants: name -> variant.
        operators: operator -> rule, for every variant that has none of its own.
        opset: the oldest and newest version of the default domain that it reads.
        artifact: the suffix of the file that a runtime opens, such as ``.onnx`` or ``.xml``.
        driver: the module of the heavy half, ``depthdeploy_openvino.driver``; empty while there is none.
        sdk: the distribution that the driver needs, as pip names it.
        runs_here: whether this machine can run the artifact, so that it is evaluated itself.
        install: the command, or the sentence, by which a user gets the SDK.
        handover: the form in which a quantized network is given to the compiler.
        quantizer: who quantizes, in words: what ``plan`` says.
        host: where nodes run that the accelerator cannot take, in words; empty when the target has no such fallback.
        unlisted: what becomes of an operator without a rule: refused, or run on the host.
        calibration: how many photographs the vendor asks for.
        host_tail: which operations at a network's end belong to the host where the user says nothing.
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
    handover: Handover = Handover.QDQ
    quantizer: str = "depthdeploy"
    host: str = ""
    unlisted: Effect = Effect.REFUSE
    calibration: CalibrationAdvice = field(default_factory=lambda: CalibrationAdvice(0, "", ""))
    host_tail: TailRule = TailRule.NONE

    def rules(self, variant: str) -> Mapping[str, OpRule]:
        """Operator -> rule for one variant."""
        chosen = self.variants[variant]
        rules = {**self.operators, **chosen.operators}
        return {name: replace(rule, uncertain=True) for name, rule in rules.items()} if chosen.uncertain else rules

    def opsets(self, variant: str) -> tuple[int, int]:
        """The oldest and newest version of the default domain that a variant reads."""
        return self.variants[variant].opset or self.opset

    def suffix(self, variant: str) -> str:
        """The suffix of the file that a variant's runtime opens."""
        return self.variants[variant].artifact or self.artifact

    def variant_named(self, name: str) -> str | None:
        """The variant of a name or alias, letter by letter; ``None`` where there is none."""
        found = (one.name for one in self.variants.values() if name == one.name or name in one.aliases)
        return next(found, None)


@runtime_checkable
class GraphPass(Protocol):
    """A rewrite of a graph in place that does not change the function it computes."""

    @property
    def name(self) -> str:
        """A verb turned noun, such as ``batch-norm-folding``."""

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""


@runtime_checkable
class ApproximatePass(GraphPass, Protocol):
    """A rewrite that changes the function: applied only where the user asks for it, its loss measured and reported."""

    @property
    def option(self) -> str:
        """What follows ``--approximate``, such as ``resize=asymmetric``."""


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


@runtime_checkable
class TimedTarget(Target, Protocol):
    """A target whose chips' speed is known, so that ``plan`` can estimate how long an inference takes."""

    @property
    def performance(self) -> Mapping[str, Performance]:
        """Variant -> how fast it is; variants of which nothing is published are left out."""
