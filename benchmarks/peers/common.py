"""What every peer's script shares: its command line, the photographs, and what it says of its result.

Scripts run as ``python -m peers.NAME`` in an environment of their own: nothing here needs more than numpy.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: The file that holds the result as ONNX with Q/DQ nodes.
QUANTIZED = "quantized.onnx"


@dataclass(frozen=True, slots=True)
class Task:
    """One quantization.

    Attributes:
        model: the float graph.
        photographs: ``[N, 3, H, W]`` float32, mapped from the file rather than read.
        folder: where the result goes.
        recipe: which settings of the tool.
        options: ``key=value`` pairs for the recipe.
    """

    model: Path
    photographs: NDArray[np.float32]
    folder: Path
    recipe: str
    options: dict[str, str] = field(default_factory=dict)

    def batches(self) -> Iterator[NDArray[np.float32]]:
        """One photograph after another, ``[1, 3, H, W]``."""
        for tensor in self.photographs:
            yield np.ascontiguousarray(tensor[None])


@dataclass(frozen=True, slots=True)
class Made:
    """What a tool says of its result.

    Attributes:
        tool: its name.
        version: its version.
        settings: every setting that decides the result, in words.
        form: the file for the exact judge, relative to the folder; empty when there is none.
    """

    tool: str
    version: str
    settings: str
    form: str = QUANTIZED


def main(quantize: Callable[[Task], Made]) -> None:
    """Read the command line, quantize, write ``made.json`` with the seconds that the quantization itself took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    photographs = np.load(given.photographs, mmap_mode="r")
    if len(photographs) < given.images:
        parser.error(f"{given.photographs} holds {len(photographs)} photographs, {given.images} were asked for")
    given.out.mkdir(parents=True, exist_ok=True)
    options = dict(item.split("=", 1) for item in given.set)
    task = Task(given.model, photographs[: given.images], given.out, given.recipe, options)
    since = time.perf_counter()
    made = quantize(task)
    facts = {
        "tool": made.tool,
        "version": made.version,
        "settings": made.settings,
        "form": made.form,
        "images": given.images,
        "inner_seconds": time.perf_counter() - since,
    }
    (given.out / "made.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
