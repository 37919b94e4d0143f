"""The end of a run: artifact and report in the user's folder, whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from depthdeploy.core.report import Report
from depthdeploy.errors import StorageError, UsageError
from depthdeploy.pipeline import scoring
from depthdeploy.pipeline.assemble import Made
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.model_stages import Network
from depthdeploy.report.write import write_report


def publish(report: Report, made: Made, folder: Path) -> None:
    """Write the artifact's files, the plan, the report and the maps.

    The folder appears whole: it is filled beside its place and then renamed. An earlier result of ours is replaced.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: the folder holds something that is not a result of ours.
    """
    _require_ours(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    except OSError as cause:
        raise StorageError(f"{folder} cannot be written: {cause.strerror}.", "Choose another with --out.") from cause
    try:
        _fill(temporary, report, made)
        temporary.chmod(0o755)  # mkdtemp makes it private; a result is the user's to share
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as cause:
        raise StorageError(f"{folder} cannot be written: {cause.strerror}.", "Free some space.") from cause
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, report: Report, made: Made) -> None:
    artifact, gallery = made.artifact, made.evaluated.gallery
    for name in artifact.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.folder / name, folder / name)
    if made.quantized.plan is not None:
        (folder / "plan.txt").write_text(f"{made.quantized.plan}\n", encoding="utf-8")
    write_report(report, scoring.load_gallery(gallery) if gallery else (), folder)


def place(network: Network, goal: Destination) -> Path:
    """Where a target's result lies under the output folder: ``pico-192x256/openvino-cpu-vnni-int8``."""
    exported, contract = network.exported, network.model.contract
    source = exported.source if exported.licence else Path(exported.source).stem
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source)
    return Path(f"{name}-{contract.height}x{contract.width}") / f"{goal.name}-{goal.variant.name}-{goal.precision}"


def _require_ours(folder: Path) -> None:
    """A folder that is not a result of ours is never replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        ours = "schema" in json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        ours = False
    if not ours:
        raise UsageError(f"{folder} is there and is not a result of depthdeploy.", "Choose another with --out.")
