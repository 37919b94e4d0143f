"""Rewrites that change the function, by the options that ask for them."""

from __future__ import annotations

from collections.abc import Iterable

from depthdeploy.core.target import ApproximatePass
from depthdeploy.errors import UsageError
from depthdeploy.graph.passes.gelu_tanh import GeluTanh
from depthdeploy.graph.passes.resize_approximation import ResizeApproximation

#: Every approximation there is, for all targets. None is ever applied unasked.
APPROXIMATIONS: tuple[ApproximatePass, ...] = (
    ResizeApproximation("asymmetric"),
    ResizeApproximation("half_pixel"),
    GeluTanh(),
)


def chosen(options: Iterable[str]) -> tuple[ApproximatePass, ...]:
    """The rewrites that options ask for, in their order.

    Raises:
        UsageError: an option is unknown, or two concern the same thing.
    """
    known = {one.option: one for one in APPROXIMATIONS}
    asked = tuple(dict.fromkeys(options))
    unknown = [option for option in asked if option not in known]
    if unknown:
        raise UsageError(f"--approximate {unknown[0]!r} is not known.", f"There are {', '.join(known)}.")
    subjects = [option.partition("=")[0] for option in asked]
    twice = next((subject for subject in subjects if subjects.count(subject) > 1), None)
    if twice is not None:
        raise UsageError(f"--approximate {twice} is asked for in two ways.", "Give one of them.")
    return tuple(known[option] for option in asked)
