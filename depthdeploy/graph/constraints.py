"""Conditions on a node that one attribute's values cannot say: the vocabulary of ``[[operators.constraints]]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from depthdeploy.core.support import Accepted, Constraint, Effect, OpRule
from depthdeploy.errors import PluginError
from depthdeploy.graph.attributes import attribute
from depthdeploy.graph.checks import axes, operands, patterns, resizes, shapes, windows
from depthdeploy.graph.checks.subject import Arguments, Subject


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
    return worded(constraint), found


def worded(constraint: Constraint) -> str:
    """A condition in words, with the attributes that it concerns.

    Raises:
        PluginError: the condition or one of its arguments is unknown.
    """
    where = "".join(f" with {name} {_choices(values)}" for name, values in constraint.when.items())
    return check_named(constraint).says(constraint.arguments) + where


def conditions(rule: OpRule) -> tuple[str, ...]:
    """All that a rule asks of a node, in words; what does not refuse says what it does.

    Raises:
        PluginError: a condition is unknown.
    """
    plain = [f"{name} is {_choices(values)}" for name, values in rule.attributes.items()]
    plain += [f"values are {_choices(rule.dtypes)}"] if rule.dtypes else []
    plain += [f"at most {rule.max_rank} dimensions"] if rule.max_rank is not None else []
    further = (f"{worded(one)}{_ELSE[one.effect]}" for one in rule.constraints)
    return (*(f"{words}{_ELSE[rule.effect]}" for words in plain), *further)


_ELSE: Final = {Effect.REFUSE: "", Effect.FALLBACK: ", else on the host", Effect.SLOW: ", else slower"}


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
_INPUTS: Final = frozenset({"inputs"})
_NOTHING: Final[frozenset[str]] = frozenset()

CHECKS: Final[Mapping[str, Check]] = {
    "constant-inputs": Check(_words("inputs {inputs} are constant"), operands.not_constant, _INPUTS),
    "scalar-inputs": Check(_words("inputs {inputs} are one constant number"), operands.not_scalar, _INPUTS),
    "no-scalar-inputs": Check(_words("inputs {inputs} are more than one number"), operands.is_scalar, _INPUTS),
    "operands": Check(_words("the second factor is {accepted}"), operands.operands, _ACCEPTED),
    "equal-ranks": Check(_words("both activations have as many dimensions"), operands.unequal_ranks, _NOTHING),
    "rank": Check(_words("there are {accepted} dimensions"), shapes.rank, _ACCEPTED),
    "max-dimension": Check(_words("no side is longer than {limit}"), shapes.long_dimension, _LIMIT),
    "max-batch": Check(_words("the batch is at most {limit}"), shapes.batch, _LIMIT),
    "min-channels": Check(_words("there are at least {limit} channels"), shapes.few_channels, _LIMIT),
    "max-channels": Check(_words("there are at most {limit} channels"), shapes.many_channels, _LIMIT),
    "max-elements": Check(_words("at most {limit} values"), shapes.elements, _LIMIT),
    "max-changed-axes": Check(_words("at most {limit} sides grow"), shapes.many_changed_axes, _LIMIT),
    "max-kernel": Check(_words("the kernel's sides are at most {limit}"), windows.kernel, _LIMIT),
    "max-kernel-area": Check(_words("the kernel has at most {limit} taps"), windows.kernel_area, _LIMIT),
    "max-kernel-volume": Check(_words("an output has at most {limit} weights"), windows.kernel_volume, _LIMIT),
    "max-stride": Check(_words("strides are at most {limit}"), windows.stride, _LIMIT),
    "max-dilation": Check(_words("dilations are at most {limit}"), windows.dilation, _LIMIT),
    "no-strided-dilation": Check(_words("dilated kernels have stride 1"), windows.strided_dilation, _NOTHING),
    "no-padding": Check(_words("nothing is padded"), windows.padding, _NOTHING),
    "groups": Check(_words("groups are {accepted}"), windows.groups, _ACCEPTED),
    "axis": Check(_words("the axis is {accepted}"), axes.axis, _ACCEPTED),
    "axes": Check(_words("the axes are {accepted}"), axes.axes, _ACCEPTED),
    "axes-together": Check(_words("one axis is reduced, or height and width"), axes.axes_together, _NOTHING),
    "unit-steps": Check(_words("every value of the range is taken"), axes.steps, _NOTHING),
    "integer-scales": Check(_words("scales are whole numbers"), resizes.broken_factors, _NOTHING),
    "integer-ratios": Check(_words("scales are whole numbers, or one by such"), resizes.broken_ratios, _NOTHING),
    "power-of-two-scales": Check(_words("scales are powers of two, no higher than wide"), resizes.odd_powers, _NOTHING),
    "max-scale": Check(_words("scales are at most {limit}"), resizes.large_factors, _LIMIT),
    "max-stencil": Check(_words("the interpolation has at most {limit} taps a side"), resizes.wide_stencils, _LIMIT),
    "spatial-only": Check(_words("only height and width change"), resizes.other_axes, _NOTHING),
    "within-gelu": Check(_words("it is a part of x (1 + erf(x / sqrt(2))) 0.5"), patterns.not_in_gelu, _NOTHING),
    "never": Check(_words("this combination of attributes is not taken"), lambda *_: "it", _NOTHING),
}
