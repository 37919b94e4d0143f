"""What a target accepts of a graph, as data: rules, conditions, and what is said of a node that breaks one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Effect(Enum):
    """What becomes of a node that breaks a rule."""

    REFUSE = "refuse"
    """The compiler stops, or computes something else: the graph is refused."""
    FALLBACK = "fallback"
    """The node runs on the host's processor instead of the accelerator: refused unless it was allowed."""
    SLOW = "slow"
    """The node runs right, on a slower unit of the chip: remarked on."""


#: A value of an attribute as a rule lists it.
Accepted = str | int | float


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on a node that goes beyond one attribute's values.

    Attributes:
        check: the condition's name among those of :mod:`depthdeploy.graph.constraints`, such as ``integer-scales``.
        arguments: what the condition takes, such as ``limit``.
        when: attribute -> values: the condition concerns only nodes with such attributes.
        effect: what becomes of a node that breaks it.
        remedy: what the user can do; the operator's own remedy when empty.
        source: where the vendor documents it; the operator's own source when empty.
        uncertain: whether the source is second-hand or contradicted.
    """

    check: str
    arguments: Mapping[str, Accepted | tuple[Accepted, ...]] = field(default_factory=dict)
    when: Mapping[str, tuple[Accepted, ...]] = field(default_factory=dict)
    effect: Effect = Effect.REFUSE
    remedy: str = ""
    source: str = ""
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class OpRule:
    """One operator that a target runs, and under which conditions.

    Attributes:
        operator: the ONNX operator; ``*`` for conditions on every node.
        remedy: what the user can do when a condition fails.
        source: where the vendor documents it.
        attributes: attribute -> the values that are accepted; an attribute that is not named is free.
        max_rank: the highest rank of any input or output; ``None`` when it does not matter.
        dtypes: element types of data inputs and outputs that are accepted, such as ``float32``; empty when any is.
        effect: what becomes of a node that breaks one of the conditions above.
        constraints: further conditions.
        on_host: whether the target runs this operator on the host's processor, never on the accelerator.
        uncertain: whether the source is second-hand or contradicted.
    """

    operator: str
    remedy: str
    source: str
    attributes: Mapping[str, tuple[Accepted, ...]]
    max_rank: int | None = None
    dtypes: tuple[str, ...] = ()
    effect: Effect = Effect.REFUSE
    constraints: tuple[Constraint, ...] = ()
    on_host: bool = False
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a target cannot do with one node as it stands.

    Attributes:
        node: its name, or ``the graph``.
        operator: the ONNX operator, or the property of the graph.
        rule: the condition that is broken.
        found: what stands there instead.
        remedy: what the user can do.
        effect: what becomes of the node.
        source: where the vendor documents the rule.
        uncertain: whether that source is second-hand or contradicted.
    """

    node: str
    operator: str
    rule: str
    found: str
    remedy: str
    effect: Effect = Effect.REFUSE
    source: str = ""
    uncertain: bool = False

    def __str__(self) -> str:
        doubt = " (uncertain)" if self.uncertain else ""
        return f"{self.node} ({self.operator}): {self.rule}{doubt}, found {self.found}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Support:
    """Every refusal, not the first one. Truthy when the whole graph is accepted.

    Attributes:
        rejections: what keeps the graph from the target.
        nodes: how many nodes there are.
        fallbacks: why nodes run on the host's processor; several reasons may name one node.
        slow: what runs on a slower unit of the chip.
        fallback_nodes: how many nodes run on the host's processor.
        fallback_macs: their multiply-accumulate operations as a share of all, 0..1.
        uncertain_nodes: nodes of which what is said, acceptance too, rests on second-hand or contradicted sources.
    """

    rejections: tuple[Rejection, ...]
    nodes: int = 0
    fallbacks: tuple[Rejection, ...] = ()
    slow: tuple[Rejection, ...] = ()
    fallback_nodes: int = 0
    fallback_macs: float = 0.0
    uncertain_nodes: int = 0

    def __bool__(self) -> bool:
        return not self.rejections


@dataclass(frozen=True, slots=True)
class FallbackLimit:
    """How much of a network may run on the host's processor.

    Attributes:
        nodes: at most this many nodes.
        share: at most this share of the multiply-accumulate operations, 0..1.
    """

    nodes: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if (self.nodes is None) == (self.share is None):
            raise ValueError("a limit is a number of nodes or a share of the operations")
        if (self.nodes is not None and self.nodes < 0) or (self.share is not None and not 0 <= self.share <= 1):
            raise ValueError(f"a limit lies between none and all, got {self}")

    def allows(self, *, nodes: int, share: float) -> bool:
        """Whether so many nodes with this share of the operations are within the limit."""
        return nodes <= self.nodes if self.nodes is not None else share <= (self.share or 0.0)

    def __str__(self) -> str:
        return f"{self.nodes} nodes" if self.nodes is not None else f"{100 * (self.share or 0.0):g} % of the MACs"


@dataclass(frozen=True, slots=True)
class Allowances:
    """What the user concedes so that a graph becomes legal.

    Attributes:
        approximate: options of rewrites that change the function, such as ``resize=asymmetric``.
        fallback: how much may run on the target's host; nothing when ``None``.
    """

    approximate: tuple[str, ...] = ()
    fallback: FallbackLimit | None = None
