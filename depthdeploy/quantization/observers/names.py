"""The names that users give observers."""

from __future__ import annotations

import re

from depthdeploy.errors import UsageError
from depthdeploy.quantization.observers.entropy import Entropy
from depthdeploy.quantization.observers.extremes import MinMax, Moving
from depthdeploy.quantization.observers.mse import Mse
from depthdeploy.quantization.observers.percentile import Percentile
from depthdeploy.quantization.observers.protocol import Observer

#: What can be written, for messages and help.
OBSERVERS = "minmax, moving, moving:M, percentile, percentile:P, entropy, mse or mse:N"


def parse_observer(text: str) -> Observer:
    """The observer that a user names: ``minmax``, ``moving:0.95``, ``percentile:99.99``, ``entropy`` or ``mse:3``.

    Raises:
        UsageError: there is no such observer, or its setting is out of range.
    """
    match = re.fullmatch(r"([a-z]+)(?::(\d{1,3}(?:\.\d+)?))?", text)
    if match is not None:
        setting = None if match[2] is None else float(match[2])
        try:
            found = _made(match[1], setting)
        except ValueError:  # the observer says that its setting is out of range
            found = None
        if found is not None:
            return found
    raise UsageError(
        f"{text!r} is not an observer.",
        f"Use {OBSERVERS}, with 0 <= M < 1, 50 < P <= 100 and 1 <= N <= 8, as in percentile:99.99.",
    )


def _made(name: str, setting: float | None) -> Observer | None:
    match name, setting:
        case "minmax", None:
            return MinMax()
        case "moving", _:
            return Moving() if setting is None else Moving(setting)
        case "percentile", _:
            return Percentile() if setting is None else Percentile(setting)
        case "entropy", None:
            return Entropy()
        case "mse", _:
            return Mse() if setting is None else Mse(setting)
        case _:
            return None
