"""How long work tells how far it is, and to whom a run speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from depthdeploy.core.report import StageRecord

#: Called with what is done and how much there is in all; ``total`` 0 when it is not known.
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


class Listener(Protocol):
    """Who a run tells what it does: the command line, a log, nobody."""

    def started(self, stage: str, target: str) -> Progress:
        """A stage begins; ``target`` is empty for those that run once per model. Gives its progress."""

    def finished(self, record: StageRecord, target: str) -> None:
        """A stage ended well."""

    def remark(self, text: str) -> None:
        """Something a user should know and that changes nothing."""

    def failed(self, target: str, error: Exception) -> None:
        """A target of several failed; the others go on."""


class Silence:
    """A listener that says nothing."""

    def started(self, stage: str, target: str) -> Progress:
        """Progress goes nowhere."""
        return silent

    def finished(self, record: StageRecord, target: str) -> None:
        """Nothing."""

    def remark(self, text: str) -> None:
        """Nothing."""

    def failed(self, target: str, error: Exception) -> None:
        """Nothing."""
