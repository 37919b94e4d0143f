"""Conditions on a node that one attribute's values cannot say: the vocabulary of ``[[operators.constraints]]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from depthdeploy.core.support import Accepted, Constraint
from depthdeploy.errors import PluginError
from depthdeploy.graph import constraint_checks as checks
from depthdeploy.graph.attributes import attribute
from depthdeploy.graph.constraint_checks import Arguments, Subject


@dataclass(frozen=True, slots=True)
class Check:
    """One condition.

    Attributes:
        says: the rule in words, from its arguments.
        finds: what breaks the rule, in words; ``None`` when it is kept, or cannot be judged for want of shapes.
        takes: the arguments' names.
    """

    says: Callable[[Arguments], str]
    finds: Callable[[Subject, Arguments], str | None]
    takes: frozenset[str]


def broken(constraint: Constraint, subject: Subject) -> tuple[str, str] | None:
    """The rule and what was found, where a node breaks a condition that concerns it.

    Raises:
        PluginError: the condition or one of its arguments is unknown.
    """
    check = check_named(constraint)
    if any(attribute(subject.node, name, subject.version) not in values for name, values in constraint.when.items()):
        return None
    found = check.finds(subject, constraint.arguments)
    if found is None:
        return None
    where = "".join(f" with {name} {_choices(values)}" for name, values in constraint.when.items())
    return check.says(constraint.arguments) + where, found


def check_named(constraint: Constraint) -> Check:
    """The condition that a rule names.

    Raises:
        PluginError: there is none of that name, or it takes other arguments.
    """
    check = CHECKS.get(constraint.check)
    if check is None:
        raise PluginError(
            f"A rule names the check {constraint.check!r}, and there is none.", f"There are {', '.join(CHECKS)}."
        )
    if frozenset(constraint.arguments) != check.takes:
        raise PluginError(
            f"The check {constraint.check!r} takes {', '.join(sorted(check.takes)) or 'nothing'}, "
            f"not {', '.join(sorted(constraint.arguments)) or 'nothing'}.",
            "Correct the capabilities.toml.",
        )
    return check


def _choices(values: Accepted | tuple[Accepted, ...]) -> str:
    return " or ".join(str(value) for value in values) if isinstance(values, tuple) else str(values)


def _words(text: str) -> Callable[[Arguments], str]:
    """A rule's words, the arguments put in their places."""
    return lambda arguments: text.format(**{name: _choices(value) for name, value in arguments.items()})


_LIMIT: Final = frozenset({"limit"})
_ACCEPTED: Final = frozenset({"accepted"})

CHECKS: Final[Mapping[str, Check]] = {
    "constant-inputs": Check(_words("inputs {inputs} are constant"), checks.not_constant, frozenset({"inputs"})),
    "operands": Check(_words("the second factor is {accepted}"), checks.operands, _ACCEPTED),
    "max-dimension": Check(_words("no side is longer than {limit}"), checks.long_dimension, _LIMIT),
    "max-batch": Check(_words("the batch is at most {limit}"), checks.batch, _LIMIT),
    "min-channels": Check(_words("there are at least {limit} channels"), checks.few_channels, _LIMIT),
    "max-elements": Check(_words("at most {limit} values"), checks.elements, _LIMIT),
    "max-kernel": Check(_words("the kernel's sides are at most {limit}"), checks.kernel, _LIMIT),
    "max-kernel-area": Check(_words("the kernel has at most {limit} taps"), checks.kernel_area, _LIMIT),
    "max-stride": Check(_words("strides are at most {limit}"), checks.stride, _LIMIT),
    "max-dilation": Check(_words("dilations are at most {limit}"), checks.dilation, _LIMIT),
    "groups": Check(_words("groups are {accepted}"), checks.groups, _ACCEPTED),
    "axis": Check(_words("the axis is {accepted}"), checks.axis, _ACCEPTED),
    "axes": Check(_words("the axes are {accepted}"), checks.axes, _ACCEPTED),
    "integer-scales": Check(_words("scales are whole numbers"), checks.broken_factors, frozenset()),
    "max-scale": Check(_words("scales are at most {limit}"), checks.large_factors, _LIMIT),
    "spatial-only": Check(_words("only height and width change"), checks.other_axes, frozenset()),
    "never": Check(_words("this combination of attributes is not taken"), lambda *_: "it", frozenset()),
}
