"""Post-training quantizers side by side: the same float graphs, the same photographs, the same judges.

Every tool runs as a process in an environment of its own, timed from outside; two judges score its result against the
FP32 network on photographs that did not calibrate: ``exact`` executes Q/DQ in float, the others run the integer kernels
of a runtime. This process stays small on purpose: Linux counts the parent's memory in the peak of a child.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from process import Measured, measure
from quantizers.environments import interpreter
from quantizers.rows import JUDGES, Row, UsageError, merged, read_rows, write_rows
from quantizers.table import markdown
from quantizers.tools import PEERS, Tool, tool

HERE = Path(__file__).parent
#: By default; ``depth-anything`` besides, on few photographs: what keeps activations in memory needs gigabytes for it.
NETWORKS = ("fastdepth", "midas", "pico", "fastdepth-hard", "midas-hard", "fastdepth-harder", "midas-harder")
#: Judge -> whose latency is the peer's.
SPEED_PEERS = {"onnxruntime": "ort-percentile", "openvino": "nncf-openvino"}


def process(module: str, *arguments: object, python: Path | None = None) -> Measured:
    """A module of this folder as a process."""
    command = [str(python or sys.executable), "-m", module, *(str(argument) for argument in arguments)]
    return measure(command, environment={"PYTHONPATH": str(HERE)})


def prepare(network: str, given: argparse.Namespace) -> bool:
    """Make a network's float graph and photographs; false where they are there already."""
    folder: Path = given.work / network
    marker, wanted = folder / "prepared.txt", f"{given.images} photographs, seed {given.seed}"
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
        return False
    process("quantizers.networks", network, folder, given.images, given.seed)
    marker.write_text(wanted, encoding="utf-8")
    return True


def last_line(error: Exception) -> str:
    """What a failed process said last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    said = lines[-1].partition(": ")
    return (said[2] or said[0])[:300]  # without the name of the exception's class


def quantized(network: str, one: Tool, given: argparse.Namespace) -> Row:
    """Run a tool; a row without figures of a judge. What failed is kept as a row too."""
    folder = given.work / network
    facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    out = folder / one.name.replace(":", "-")
    images = min(one.images or given.images, given.images)
    said = (*one.options, *(["transformer=yes"] if facts["transformer"] else []), *given.set)
    options = [part for item in said for part in ("--set", item)]
    row = Row(network, one.name, "", images=images)
    shutil.rmtree(out, ignore_errors=True)  # a tool may take up what an earlier run left there
    try:
        python = interpreter(one.environment, given.peers_env)
        measured = process(
            one.module, "--model", folder / "float.onnx", "--photographs", folder / "calibration.npy",
            "--images", images, "--out", out, "--recipe", one.recipe, *options, python=python,
        )  # fmt: skip
    except RuntimeError as error:
        (folder / f"{out.name}.log").write_text(str(error), encoding="utf-8")
        return replace(row, error=last_line(error))
    made = json.loads((out / "made.json").read_text(encoding="utf-8"))
    return replace(
        row,
        version=f"{made['tool']} {made['version']}",
        settings=made["settings"],
        seconds=measured.seconds,
        peak_mib=measured.peak_mib,
    )


def form(network: str, one: str, given: argparse.Namespace) -> Path:
    """The file that a tool made."""
    out: Path = given.work / network / one.replace(":", "-")
    return out / str(json.loads((out / "made.json").read_text(encoding="utf-8"))["form"])


def judged(row: Row, judge: str, given: argparse.Namespace) -> Row:
    """The row with a judge's figures, or with the reason why there are none."""
    row = replace(row, judge=judge)
    if row.error:
        return row
    folder = given.work / row.network
    facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    if not facts["fidelity"]:
        return row
    out = folder / f"{row.tool.replace(':', '-')}.{judge}.json"
    graph = form(row.network, row.tool, given)
    if judge == "onnxruntime" and graph.suffix != ".onnx":
        return replace(row, error="an OpenVINO IR")
    evaluation = folder / "evaluation.npy"
    try:
        process("quantizers.judge", judge, folder / "float.onnx", graph, evaluation, facts["kind"], out)
    except RuntimeError as error:
        return replace(row, error=last_line(error))
    return replace(row, **json.loads(out.read_text(encoding="utf-8")))


def timed(network: str, runtime: str, rows: tuple[Row, ...], given: argparse.Namespace) -> tuple[Row, ...]:
    """The rows of one runtime with latencies, all measured in turn."""
    own = [row for row in rows if (row.network, row.judge) == (network, runtime) and not row.error]
    if not own or not given.rounds:
        return ()
    folder = given.work / network
    files = [f"float={folder / 'float.onnx'}", *(f"{row.tool}={form(network, row.tool, given)}" for row in own)]
    out = folder / f"latency.{runtime}.json"
    process("quantizers.speed", runtime, folder / "evaluation.npy", given.rounds, out, *files)
    found: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    peer = SPEED_PEERS[runtime]
    return tuple(
        replace(
            row,
            latency_ms=found[row.tool],
            latency_to_float=found[row.tool] / found["float"],
            latency_to_peer=found[row.tool] / found[peer] if peer in found else None,
            peer=peer if peer in found else "",
        )
        for row in own
    )


def machine() -> str:
    """Where the figures come from."""
    return f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def run(given: argparse.Namespace) -> tuple[Row, ...]:
    """Every row that is asked for; those that the work folder has already are not measured again."""
    path = given.work / "rows.json"
    rows = read_rows(path)
    tools = [tool(name) for name in given.tools.split(",")]
    judges = given.judges.split(",")
    for network in given.networks.split(","):
        if prepare(network, given):  # what was measured belongs to other photographs or another function
            rows = tuple(row for row in rows if row.network != network)
        for one in tools:
            done = {row.key for row in rows}
            if not given.again and all((network, one.name, judge) in done for judge in judges):
                continue
            row = quantized(network, one, given)
            fresh = [judged(row, judge, given) for judge in judges]
            rows = merged(rows, fresh)
            write_rows(path, rows, machine())
            print(network, one.name, *(f"{item.judge} {item.sqnr_db or item.error}" for item in fresh), flush=True)
        for runtime in (judge for judge in judges if judge in SPEED_PEERS):
            rows = merged(rows, timed(network, runtime, rows, given))
            write_rows(path, rows, machine())
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS), help=f"of {', '.join(NETWORKS)}, depth-anything")
    parser.add_argument("--tools", default=",".join(PEERS), help=f"of ours:RECIPE, {', '.join(PEERS)}")
    parser.add_argument("--judges", default=",".join(JUDGES), help=f"of {', '.join(JUDGES)}")
    parser.add_argument("--images", type=int, default=256, help="calibration photographs")
    parser.add_argument("--rounds", type=int, default=50, help="timed runs of each network; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="of the hard variants")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the tools' scripts")
    parser.add_argument("--work", type=Path, required=True, help="graphs, tensors and rows; kept for the next run")
    parser.add_argument("--peers-env", type=Path, required=True, help="the peers' virtual environments")
    parser.add_argument("--again", action="store_true", help="measure rows again that the work folder has")
    parser.add_argument("--out", type=Path, help="where the rows go, as JSON")
    given = parser.parse_args()
    try:
        rows = run(given)
    except (UsageError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    print(f"\n{markdown(rows)}")
    if given.out:
        write_rows(given.out, rows, machine())


if __name__ == "__main__":
    main()
