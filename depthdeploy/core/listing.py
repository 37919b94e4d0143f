"""Rows of the verbs that list things."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VariantListing:
    """One chip or instruction set of a target."""

    name: str
    title: str
    precisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetListing:
    """One installed target.

    Attributes:
        name: as after ``--target``.
        title: for people.
        sdk: the distribution that its driver needs.
        sdk_version: the installed version, empty when it is not installed.
        driven: whether this version of depthdeploy drives it.
        artifact: the suffix of the file that a runtime opens.
        variants: its chips or instruction sets.
    """

    name: str
    title: str
    sdk: str
    sdk_version: str
    driven: bool
    artifact: str
    variants: tuple[VariantListing, ...]


@dataclass(frozen=True, slots=True)
class OperatorListing:
    """One operator that a chip runs.

    Attributes:
        operator: the ONNX operator; ``*`` for what holds for every node.
        runs: ``accelerator``, or ``host`` where only the host's processor has it.
        conditions: what is asked of a node, in words.
        uncertain: whether the source is second-hand or contradicted.
        remedy: what to do where a condition is broken.
        source: where the vendor documents it.
    """

    operator: str
    runs: str
    conditions: tuple[str, ...]
    uncertain: bool
    remedy: str
    source: str


@dataclass(frozen=True, slots=True)
class DatasetListing:
    """One installed data set: its name, one line about it, and how it is named."""

    id: str
    title: str
    usage: str


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``depthdeploy doctor``.

    Attributes:
        name: what was looked at.
        status: ``ok``, ``missing`` (optional and not there) or ``bad`` (there and not working).
        found: what was seen.
        remedy: what to do; empty when nothing needs doing.
    """

    name: str
    status: str
    found: str
    remedy: str = ""
