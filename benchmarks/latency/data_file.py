"""The fitted constants inside a target's ``performance.toml``: what stands between two marks is written anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from depthdeploy.core.performance import Constants

_BLOCK = re.compile(r"# fitted: begin\n.*?# fitted: end\n", re.DOTALL)


def constants_text(constants: Constants) -> str:
    shares = ", ".join(f"{kind.value} = {value:g}" for kind, value in constants.efficiency.items())
    doubts = ", ".join(f"{kind.value} = {value:g}" for kind, value in constants.borrowed.items())
    return "\n".join(
        [
            f"[constants.{constants.family}]",
            f"efficiency = {{ {shares} }}",
            f"memory_efficiency = {constants.memory_efficiency:g}",
            f"overhead_ms = {constants.overhead_ms:g}",
            f"layer_overhead_us = {constants.layer_overhead_us:g}",
            f"error = {constants.error:g}",
            f"borrowed = {{ {doubts} }}" if doubts else "borrowed = {}",
            f'calibrated_on = "{constants.calibrated_on}"',
        ]
    )


def write_constants(path: Path, families: Iterable[Constants]) -> None:
    """Put the constants of a file's families between its marks."""
    block = "# fitted: begin\n" + "\n\n".join(constants_text(one) for one in families) + "\n# fitted: end\n"
    text = path.read_text(encoding="utf-8")
    if not _BLOCK.search(text):
        raise SystemExit(f"{path} has no lines `# fitted: begin` and `# fitted: end`")
    path.write_text(_BLOCK.sub(lambda _: block, text), encoding="utf-8")
