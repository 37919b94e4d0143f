"""Conditions on what a node is given: constants, single numbers, factors, numbers of dimensions."""

from __future__ import annotations

from depthdeploy.graph.checks.subject import Arguments, Subject, accepted_of, inputs_of
from depthdeploy.graph.edit import constant, given, scalar, static_shape


def not_constant(subject: Subject, arguments: Arguments) -> str | None:
    """Inputs that must be constant and are computed."""
    values = {position: given(subject.node, position) for position in inputs_of(arguments)}
    changing = [value.name or str(at) for at, value in values.items() if value is not None and constant(value) is None]
    return f"{', '.join(changing)} computed at run time" if changing else None


def not_scalar(subject: Subject, arguments: Arguments) -> str | None:
    """Inputs that must be one constant number and are something else."""
    values = [given(subject.node, position) for position in inputs_of(arguments)]
    other = [value for value in values if value is not None and scalar(value) is None]
    return ", ".join(f"{value.name} {list(static_shape(value) or ())}" for value in other) or None


def is_scalar(subject: Subject, arguments: Arguments) -> str | None:
    """Inputs that must not be one constant number and are."""
    values = [given(subject.node, position) for position in inputs_of(arguments)]
    return ", ".join(f"{value.name}" for value in values if value is not None and scalar(value) is not None) or None


def operands(subject: Subject, arguments: Arguments) -> str | None:
    """What the two factors are: a constant among them, or activations alone."""
    fixed = any(constant(value) is not None for value in subject.node.inputs[:2])
    kind = "constant" if fixed else "activation"
    return None if kind in accepted_of(arguments) else {"constant": "a constant", "activation": "an activation"}[kind]


def unequal_ranks(subject: Subject, _: Arguments) -> str | None:
    """Activations of different numbers of dimensions."""
    shapes = [static_shape(value) for value in subject.node.inputs if value is not None and constant(value) is None]
    ranks = [len(shape) for shape in shapes if shape is not None]
    return " and ".join(map(str, ranks)) if len(set(ranks)) > 1 else None
