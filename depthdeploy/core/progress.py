"""How long work tells how far it is."""

from collections.abc import Callable

#: Called with what is done and how much there is in all; ``total`` 0 when it is not known.
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
