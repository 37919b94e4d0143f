"""The memory curve: peak memory and seconds of our quantizer over the number of calibration photographs.

Every point is a process of its own, measured from outside. This process stays small on purpose: Linux counts the
parent's memory in the peak of a child.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

from process import Measured
from quantization import last_line, machine, prepare, process
from quantizers.memory_rows import MemoryRow, read_memory, write_memory
from quantizers.rows import UsageError

#: Of the networks that ``quantization.py`` knows.
NETWORKS = ("fastdepth", "midas")
COUNTS = (16, 64, 256, 1024)


def tensors(network: str, given: argparse.Namespace) -> Path:
    """The file with as many photographs as the largest count needs: variations follow the originals."""
    folder: Path = given.work / network
    originals, most = folder / "calibration.npy", max(given.counts)
    if most <= given.images:
        return originals
    out = folder / f"calibration-{given.images}-to-{most}-seed-{given.seed}.npy"
    if not out.is_file():
        process("quantizers.variations", originals, most, given.seed, out)
    return out


def measured(network: str, count: int, photographs: Path, given: argparse.Namespace) -> MemoryRow:
    """One point; what failed is kept as a row too."""
    folder: Path = given.work / network
    facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    out = folder / f"{given.recipe.replace(':', '-')}-{count}"
    shutil.rmtree(out, ignore_errors=True)  # finished steps that lie there would not run again
    said = (*(["transformer=yes"] if facts["transformer"] else []), *given.set)
    options = [part for item in said for part in ("--set", item)]
    row = MemoryRow(network, given.recipe, count)
    try:
        result: Measured = process(
            "peers.streamed", "--model", folder / "float.onnx", "--photographs", photographs,
            "--images", count, "--out", out, "--recipe", given.recipe, *options,
        )  # fmt: skip
    except RuntimeError as error:
        (folder / f"{out.name}.log").write_text(str(error), encoding="utf-8")
        return replace(row, error=last_line(error))
    made = json.loads((out / "made.json").read_text(encoding="utf-8"))
    return replace(
        row,
        version=f"{made['tool']} {made['version']}",
        settings=made["settings"],
        seconds=result.seconds,
        peak_mib=result.peak_mib,
    )


def run(given: argparse.Namespace) -> tuple[MemoryRow, ...]:
    """Every point that is asked for; those that the work folder has already are not measured again."""
    path = given.work / "rows.json"
    rows = {row.key: row for row in read_memory(path)}
    for network in given.networks.split(","):
        if prepare(network, given):  # what was measured belongs to other photographs
            rows = {key: row for key, row in rows.items() if row.network != network}
        photographs = tensors(network, given)
        for count in given.counts:
            if (network, given.recipe, count) in rows and not given.again:
                continue
            row = measured(network, count, photographs, given)
            rows[row.key] = row
            write_memory(path, rows.values(), machine())
            print(network, given.recipe, count, row.error or f"{row.peak_mib:.0f} MiB {row.seconds:.1f} s", flush=True)
    return tuple(sorted(rows.values(), key=lambda row: row.key))


def counts(text: str) -> tuple[int, ...]:
    """Numbers of photographs, ascending.

    Raises:
        ValueError: one is no positive integer; argparse tells of it.
    """
    found = tuple(sorted({int(part) for part in text.split(",")}))
    if found[0] < 1:
        raise ValueError(text)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS), help="as quantization.py names them")
    parser.add_argument("--recipe", default="fast", help="of the project, or observer:NAME")
    parser.add_argument("--counts", type=counts, default=COUNTS, help="calibration photographs, as in 16,64,256,1024")
    parser.add_argument("--images", type=int, default=256, help="photographs that there are; more are varied ones")
    parser.add_argument("--seed", type=int, default=0, help="of the variations")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the quantizer's script")
    parser.add_argument("--work", type=Path, required=True, help="graphs, tensors and rows, in its folder `memory`")
    parser.add_argument("--again", action="store_true", help="measure points again that the work folder has")
    parser.add_argument("--out", type=Path, help="where the rows go, as JSON")
    given = parser.parse_args()
    given.work = given.work / "memory"  # other photographs than quantization.py's must not take the place of its own
    try:
        rows = run(given)
    except (UsageError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    if given.out:
        write_memory(given.out, rows, machine())


if __name__ == "__main__":
    main()
