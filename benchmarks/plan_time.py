"""How long ``plan`` takes: one network on one target in a process of its own, and all networks on all chips in one.

    python benchmarks/plan_time.py

Processor seconds are told besides wall-clock seconds, which other work on the machine adds to.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from depthdeploy import api
from depthdeploy.core.request import CompileRequest
from depthdeploy.registry import models, targets


def main() -> None:
    command = [sys.executable, "-m", "depthdeploy", "plan", "--target", "hailo:hailo8"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"midas-v21-small on hailo:hailo8: {wall:.1f} s, {spent:.1f} s of processor time")
    everywhere = tuple(f"{name}:{variant}" for name in targets for variant in targets[name].capabilities.variants)
    start, used = time.perf_counter(), time.process_time()
    for model in models:
        api.plan(CompileRequest(targets=everywhere, model=model))
    wall, spent = time.perf_counter() - start, time.process_time() - used
    print(f"{len(models)} networks on {len(everywhere)} chips: {wall:.1f} s, {spent:.1f} s of processor time")


if __name__ == "__main__":
    main()
