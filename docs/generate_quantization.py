"""Fills the tables and charts of ``docs/quantization.md`` from the rows of the benchmarks.

``python docs/generate_quantization.py`` after ``benchmarks/quantization.py`` and ``benchmarks/memory.py``; the text
around the generated blocks is written by hand and stays as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))  # the benchmarks are scripts, not a package

from page.blocks import filled  # noqa: E402
from page.goals import goals  # noqa: E402
from page.pictures import fidelity_picture, memory_picture  # noqa: E402
from page.sensitivity import read_layers  # noqa: E402
from page.tables import goal_table, memory_table, result_tables, sensitivity_table, tool_table  # noqa: E402
from page.tools import networks  # noqa: E402
from quantizers.memory_rows import MemoryRow, read_memory  # noqa: E402
from quantizers.rows import Row, UsageError, read_rows  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"

#: Layers in the table of the most sensitive ones.
LAYERS = 15

NOT_MEASURED = "Not measured yet."


def machine(path: Path) -> str:
    """On which machine the rows of a file were measured, as a sentence."""
    said = json.loads(path.read_text(encoding="utf-8")).get("machine", "")
    return f"Measured on one machine: {said}." if said else "Measured on a machine that the rows do not name."


def charts(rows: Sequence[Row], folder: Path) -> str:
    """Draw every network's chart; the Markdown that shows them."""
    shown = []
    for network in networks(rows):
        picture = fidelity_picture(rows, network)
        if picture is not None:
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"quantization-{network}.png", optimize=True)
            shown.append(f"![SQNR against seconds, {network}]({folder.name}/quantization-{network}.png)")
    return "\n\n".join(shown) or NOT_MEASURED


def memory(rows: Sequence[MemoryRow], path: Path, folder: Path) -> str:
    """The memory curve as chart and table."""
    picture = memory_picture(rows)
    if picture is None:
        return NOT_MEASURED
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / "memory.png", optimize=True)
    return f"{machine(path)}\n\n![Peak memory over photographs]({folder.name}/memory.png)\n\n{memory_table(rows)}"


def main() -> None:
    """Read the rows, fill the page, say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=RESULTS / "quantization.json", help="of quantization.py")
    parser.add_argument("--memory", type=Path, default=RESULTS / "memory.json", help="of memory.py")
    parser.add_argument(
        "--sensitivity",
        type=Path,
        default=ROOT / "docs" / "results" / "midas-sensitivity.csv",
        help="a report.json or a sensitivity.csv",
    )
    parser.add_argument(
        "--page",
        type=Path,
        default=ROOT / "docs" / "quantization.md",
        help="what is filled; the charts go to its images/",
    )
    given = parser.parse_args()
    try:
        fill(given.rows, given.memory, given.sensitivity, given.page)
    except UsageError as error:
        raise SystemExit(str(error)) from error


def fill(rows_file: Path, memory_file: Path, layers_file: Path, page: Path) -> None:
    """Write the page, and its charts into ``images`` beside it.

    Raises:
        UsageError: there are no rows of the comparison, or a file is not what its option asks for.
    """
    rows, points = read_rows(rows_file), read_memory(memory_file)
    if not rows:
        raise UsageError(f"{rows_file} has no rows: run benchmarks/quantization.py with --out {rows_file}")
    images = page.parent / "images"
    layers = sensitivity_table(read_layers(layers_file), LAYERS) if layers_file.is_file() else NOT_MEASURED
    blocks = {
        "machine": machine(rows_file),
        "goals": goal_table(goals(rows, points)),
        "charts": charts(rows, images),
        "memory": memory(points, memory_file, images),
        "results": result_tables(rows),
        "sensitivity": layers,
        "tools": tool_table(rows),
    }
    page.write_text(filled(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    print(page)  # noqa: T201


if __name__ == "__main__":
    main()
