"""Conditions on the dimensions along which a node works."""

from __future__ import annotations

from depthdeploy.graph.attributes import attribute, whole
from depthdeploy.graph.checks.subject import Arguments, Subject, accepted_of
from depthdeploy.graph.edit import constant, given


def axis(subject: Subject, arguments: Arguments) -> str | None:
    """The attribute ``axis`` at another place than accepted."""
    shape, stated = subject.shape, whole(subject.node, "axis", subject.version)
    if shape is None or stated is None:
        return None
    return _misplaced((stated,), len(shape), arguments)


def axes(subject: Subject, arguments: Arguments) -> str | None:
    """An axis of a reduction or a slice at another place than accepted."""
    shape = subject.shape
    return None if shape is None else _misplaced(_reduced(subject) or (), len(shape), arguments)


def axes_together(subject: Subject, _: Arguments) -> str | None:
    """A reduction along several dimensions that are not height and width."""
    shape, reduced = subject.shape, _reduced(subject)
    if shape is None or reduced is None or len(reduced) == 1:
        return None
    together = {axis % len(shape) for axis in reduced} == {2, 3} and len(shape) == 4
    return None if together else f"axes {', '.join(map(str, reduced))} of {len(shape)}"


def steps(subject: Subject, _: Arguments) -> str | None:
    """A slice that leaves out values in between."""
    given_steps = constant(given(subject.node, 4))
    return f"{given_steps.tolist()}" if given_steps is not None and (given_steps != 1).any() else None


def _reduced(subject: Subject) -> tuple[int, ...] | None:
    """The axes of a node; all of them where none is named, ``None`` where they are computed."""
    stated = attribute(subject.node, "axes", subject.version)
    place = given(subject.node, 3 if subject.node.op_type == "Slice" else 1)
    if isinstance(stated, (list, tuple)):
        return tuple(int(axis) for axis in stated)
    if place is None:
        return tuple(range(len(subject.shape or ())))
    array = constant(place)
    return None if array is None else tuple(int(axis) for axis in array.reshape(-1))


def _misplaced(axes: tuple[int, ...], rank: int, arguments: Arguments) -> str | None:
    """Axes by name: ``batch``, ``channels``, ``spatial`` (behind the channels), ``last``."""
    accepted = accepted_of(arguments)

    def fits(axis: int) -> bool:
        at = axis % rank
        names = {"batch": at == 0, "channels": at == 1 and rank > 2, "spatial": at >= 2, "last": at == rank - 1}
        return at in accepted or any(names.get(str(one), False) for one in accepted)

    wrong = [str(axis) for axis in axes if not fits(axis)]
    return f"axis {', '.join(wrong)} of {rank}" if wrong else None
