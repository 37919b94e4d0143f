"""Fills the tables of ``docs/latency-estimates.md`` from the rows of the benchmark.

``python docs/generate_latency.py`` after ``benchmarks/latency_estimate.py --write --charts docs/images``; the text
around the generated blocks is written by hand and stays as it is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))  # the benchmarks are scripts, not a package

from page.blocks import filled  # noqa: E402

Row = Mapping[str, object]


def number(value: object, unit: str = "") -> str:
    """Three digits with a unit; nothing for what there is not."""
    return "" if value is None else f"{float(str(value)):.3g}{unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    marks = ["---" if index == 0 else "---:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def families(rows: Sequence[Row]) -> str:
    """A row for every family of chips: how far left-out figures were missed."""
    head = ("family", "figures", "median", "worst", "chip left out: median", "worst", "interval", "borrowed constants")
    body = []
    for row in rows:
        borrowed = row["borrowed"]
        names = ", ".join(borrowed) if isinstance(borrowed, dict) else ""
        keys = ("median", "worst", "chip_median", "chip_worst", "interval")
        body.append((str(row["family"]), str(row["figures"]), *(number(row[key], "x") for key in keys), names))
    return table(head, body)


def errors(rows: Sequence[Row]) -> str:
    """All left-out figures together, in a sentence."""
    misses = []
    for row in rows:
        if row["fit"]:
            ratio = float(str(row["left_out_ms"])) / float(str(row["published_ms"]))
            misses.append(max(ratio, 1 / ratio))
    fitted = [row for row in rows if row["fit"]]
    inside = sum(bool(row["inside"]) for row in fitted)
    return (
        f"Over all {len(misses)} left-out figures: median {statistics.median(misses):.2f}x, worst {max(misses):.2f}x; "
        f"{inside} of {len(misses)} lie inside the interval."
    )


def figures(rows: Sequence[Row]) -> str:
    """Every published time beside both estimates."""
    head = (
        "network",
        "chip",
        "precision",
        "published, ms",
        "estimate, ms",
        "left out, ms",
        "ratio",
        "inside",
        "source",
    )
    body = []
    for row in rows:
        centre = row["left_out_ms"] if row["left_out_ms"] is not None else row["estimate_ms"]
        ratio = float(str(centre)) / float(str(row["published_ms"]))
        note = "" if row["fit"] else "; compared only"
        doubt = f" ({row['doubt']})" if row["doubt"] else ""
        times = (number(row[key]) for key in ("published_ms", "estimate_ms", "left_out_ms"))
        inside = "yes" if row["inside"] else "no"
        names = (str(row["network"]), str(row["target"]), str(row["precision"]))
        body.append((*names, *times, f"{ratio:.2f}", inside, f"{row['source']}{doubt}{note}"))
    return table(head, body)


def study(rows: Sequence[Row]) -> str:
    """The budget's answers."""
    head = (
        "chip",
        "network",
        "precision",
        "estimate, ms",
        "interval, ms",
        "margin, ms",
        "software Resize, ms",
        "16 ms",
    )
    return table(
        head,
        [
            (
                str(row["target"]),
                str(row["network"]),
                str(row["precision"]),
                number(row["ms"]),
                f"{number(row['lower_ms'])} to {number(row['upper_ms'])}",
                number(row["margin_ms"]),
                number(row["slow_ms"]),
                f"**{row['verdict']}**",
            )
            for row in rows
        ],
    )


def main() -> None:
    """Read the rows, fill the page, say where it lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=ROOT / "benchmarks" / "results" / "latency_estimate.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "latency-estimates.md")
    given = parser.parse_args()
    if not given.rows.is_file():
        raise SystemExit(f"{given.rows} is missing: run benchmarks/latency_estimate.py")
    rows = json.loads(given.rows.read_text(encoding="utf-8"))
    blocks = {
        "errors": errors(rows["figures"]),
        "families": families(rows["families"]),
        "study": study(rows["study"]),
        "figures": figures(rows["figures"]),
    }
    given.page.write_text(filled(given.page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    print(given.page)  # noqa: T201


if __name__ == "__main__":
    main()
