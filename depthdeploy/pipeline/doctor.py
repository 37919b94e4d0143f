"""Whether this machine can do what is asked of it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from depthdeploy import __version__, registry
from depthdeploy.core.listing import Check
from depthdeploy.core.machine import cpu_flags, cpu_name
from depthdeploy.errors import DepthdeployError

#: Enough for a ViT-L in FP32 with its stages.
_DISK = 5 * 1024**3
_OPTIONAL = {
    "torch": 'pip install "depthdeploy[export]": exports PyTorch networks, and learns in recipes such as best',
    "transformers": 'pip install "depthdeploy[export]": Depth Anything and DPT',
    "h5py": 'pip install "depthdeploy[nyuv2]": the labelled NYU Depth v2 file',
}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> Check:
    flags = cpu_flags()
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp") if flag in flags]
    return Check(
        "processor", "ok", f"{cpu_name()}, {os.cpu_count()} processors, {' '.join(known) or platform.machine()}"
    )


def _disk(cache: Path) -> Check:
    place = cache
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as cause:
        return Check("cache", "bad", f"{cache} cannot be written: {cause.strerror}", "Choose another with --cache.")
    found = f"{cache}, {free / 1024**3:.1f} GiB free"
    if free < _DISK:
        return Check("cache", "bad", found, "Free some space: large networks need 5 GiB.")
    return Check("cache", "ok", found)


def _targets() -> list[Check]:
    checks = []
    for name in registry.targets:
        try:
            target = registry.targets[name]
            able = target.capabilities
            found = _installed(able.sdk)
            if not found:
                remedy = f'pip install "depthdeploy[{name}]"'
                checks.append(Check(f"target {name}", "missing", f"{able.sdk} is not installed", remedy))
                continue
            checks.append(Check(f"target {name}", "ok", f"{able.sdk} {found}, {name}:{target.default_variant()} here"))
        except DepthdeployError as error:
            checks.append(Check(f"target {name}", "bad", error.what, error.remedy))
    return checks


def examine(cache: Path) -> tuple[Check, ...]:
    """Every check; nothing heavy is imported and nothing is changed."""
    checks = [
        Check("depthdeploy", "ok", f"{__version__}, Python {platform.python_version()} at {sys.executable}"),
        _processor(),
        _disk(cache),
        Check("onnxruntime", "ok", f"{_installed('onnxruntime')} (reference engine)"),
        *_targets(),
    ]
    for package, purpose in _OPTIONAL.items():
        found = _installed(package)
        checks.append(Check(package, "ok", found) if found else Check(package, "missing", "not installed", purpose))
    return tuple(checks)
