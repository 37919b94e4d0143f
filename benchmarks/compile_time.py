"""How long ``depthdeploy compile`` takes and how much memory, against the least work that any tool must do.

The peer exports MiDaS v2.1 Small with the same exporter and runs as many FP32 inferences as there are calibration
photographs, in one process; the ratio of the two is what everything else costs. Both in the same run, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from PIL import Image
from process import Measured, measure

PROGRAM = [sys.executable, "-m", "depthdeploy"]

PEER = """
import sys
from pathlib import Path
from depthdeploy import registry
from depthdeploy.frontend.export import export_torch
from depthdeploy.inference import OnnxSession
from depthdeploy.imaging.stream import stream
weights, photos, count, out = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
plugin = registry.models["midas-v21-small"]
card = plugin.card
model = export_torch(plugin.build(weights, card.input), name=card.id, contract=card.input, depth=card.output, out=out)
session = OnnxSession(model.path)
photoset = registry.datasets["folder"].open(photos, None)
for loaded in stream(photoset, photoset.photos[:count], card.input, keep_image=False):
    session.predict(loaded.tensor)
"""


def random_weights(folder: Path) -> Path:
    """Seeded weights of the architecture: times and memory do not depend on their values."""
    import torch
    from safetensors.torch import save_file

    from depthdeploy_models.midas_v21_small.model import MidasSmall

    torch.manual_seed(0)
    path = folder / "random.safetensors"
    save_file({name: value.contiguous() for name, value in MidasSmall().state_dict().items()}, path)
    return path


def rendered(count: int, folder: Path) -> list[Path]:
    """Rendered photographs of the size of common benchmarks."""
    from depthdeploy_calibration.sample import render_scene

    folder.mkdir()
    for seed in range(count):
        Image.fromarray(render_scene(3_000_000 + seed, height=321, width=481).image).save(folder / f"{seed:04}.png")
    return sorted(folder.iterdir())


def photographs(source: Path | None, folder: Path, count: int, *, first: int = 0) -> Path:
    """``count`` photographs of different content, and of other content for another ``first``.

    They are the source's own, then crops of them; rendered ones where there is no source.
    """
    folder.mkdir()
    originals = sorted(source.rglob("*.jpg")) if source else []
    frames = originals or rendered(64, folder.with_name(f"{folder.name}-frames"))
    for index in range(first, first + count):
        image = Image.open(frames[index % len(frames)]).convert("RGB")
        top, left = divmod(index // len(frames), 24)
        if index >= len(frames):  # another content: a crop
            image = image.crop((left, top, image.width - 24 + left, image.height - 24 + top))
        image.save(folder / f"{index:04}.jpg", quality=92)
    return folder


def compile_command(arguments: argparse.Namespace, photos: Path, cache: Path, *, targets: str, count: int) -> list[str]:
    """The command line under test."""
    return [
        *PROGRAM, "compile", "--weights", str(arguments.weights), "--target", targets, "--observer", "minmax",
        "--calib", f"folder:{photos}", "--calib-count", str(count), "--eval", f"folder:{arguments.held_out}",
        "--eval-count", str(arguments.evaluation), "--cache", str(cache), "--out", str(cache / "out"),
    ]  # fmt: skip


def fresh(
    arguments: argparse.Namespace, photos: Path, *, targets: str, count: int, until: str = "evaluate"
) -> Measured:
    """One compilation with an empty cache."""
    cache = Path(tempfile.mkdtemp(dir=arguments.work))
    try:
        command = [*compile_command(arguments, photos, cache, targets=targets, count=count), "--until", until]
        return measure(command)
    finally:
        shutil.rmtree(cache)


def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Every figure, medians over the rounds."""
    photos = photographs(arguments.photos, arguments.work / "photos", arguments.count)
    many = photographs(arguments.photos, arguments.work / "many", 4 * arguments.count)
    others = 4 * arguments.count
    arguments.held_out = photographs(arguments.photos, arguments.work / "held-out", arguments.evaluation, first=others)
    rows: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        rows.setdefault(name, []).append(value)
        print(f"{name:44} {value:10.3f}", flush=True)

    for _ in range(arguments.rounds):
        graph = arguments.work / "peer.onnx"
        peer = measure(
            [sys.executable, "-c", PEER, str(arguments.weights), str(photos), str(arguments.count), str(graph)]
        )
        note("peer: export + inferences, s", peer.seconds)
        note("peer: peak memory, MiB", peer.peak_mib)
        whole = fresh(arguments, photos, targets="onnxruntime", count=arguments.count)
        note("compile, s", whole.seconds)
        note("compile / peer", whole.seconds / peer.seconds)
        note("compile: peak memory, MiB", whole.peak_mib)
        artifact = fresh(arguments, photos, targets="onnxruntime", count=arguments.count, until="compile")
        note("until the artifact, s", artifact.seconds)
        note("until the artifact / peer", artifact.seconds / peer.seconds)
        one = fresh(arguments, photos, targets="onnxruntime", count=arguments.count, until="emulate")
        two = fresh(arguments, photos, targets="onnxruntime,openvino", count=arguments.count, until="emulate")
        note("until compile: two targets / one", two.seconds / one.seconds)
    large = fresh(arguments, many, targets="onnxruntime", count=4 * arguments.count)
    note("compile, 4 x photographs: peak memory, MiB", large.peak_mib)
    note("compile, 4 x photographs, s", large.seconds)
    cache = arguments.work / "kept"
    command = compile_command(arguments, photos, cache, targets="onnxruntime", count=arguments.count)
    measure(command)
    for _ in range(max(3, arguments.rounds)):
        note("identical second run, s", measure(command).seconds)
        note("--help, s", measure([*PROGRAM, "--help"]).seconds)
        note("targets, s", measure([*PROGRAM, "targets"]).seconds)
    return {name: statistics.median(values) for name, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photographs; rendered ones by default")
    parser.add_argument("--weights", type=Path, help="MiDaS v2.1 Small weights; random ones by default")
    parser.add_argument("--count", type=int, default=256, help="calibration photographs")
    parser.add_argument("--evaluation", type=int, default=22, help="evaluation photographs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the medians go, as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        arguments.work = Path(work)
        if arguments.weights is None:
            arguments.weights = random_weights(arguments.work)
        medians = run(arguments)
    print("\nmedians")
    for name, value in medians.items():
        print(f"{name:44} {value:10.3f}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
        arguments.out.write_text(json.dumps({"machine": machine, "medians": medians}, indent=1) + "\n")


if __name__ == "__main__":
    main()
