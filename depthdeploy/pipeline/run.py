"""One run: its store, its listener, and the bookkeeping of a stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.progress import Listener, Progress
from depthdeploy.core.report import StageRecord
from depthdeploy.pipeline.reference import Reference
from depthdeploy.pipeline.store import Store

T = TypeVar("T")

#: The version of each stage's code: raised when the same inputs would give another result.
VERSIONS = {
    "export": 2,
    "canonicalize": 2,
    "legalize": 2,
    "calibrate": 4,
    "quantize": 3,
    "emulate": 2,
    "compile": 2,
    "evaluate": 2,
}


@dataclass(slots=True)
class Run:
    """What the stages of one run share.

    Attributes:
        store: where results are kept.
        listener: who is told.
        target: the target at work; empty for the stages that run once per model.
        records: the lines so far.
        remarks: what the report must say besides.
        references: digest of an FP32 graph -> its session and predictions; shared by all targets.
    """

    store: Store
    listener: Listener
    target: str = ""
    records: list[StageRecord] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    references: dict[str, Reference] = field(default_factory=dict)

    def reference(self, model: OnnxModel) -> Reference:
        """The FP32 network that losses are measured against."""
        return self.references.setdefault(model.sha256, Reference(model))

    def for_target(self, target: str) -> Run:
        """A run for one target that starts from what was done once per model."""
        return Run(self.store, self.listener, target, list(self.records), list(self.remarks), self.references)

    def remark(self, text: str) -> None:
        """Tell the user and the report, once."""
        if text not in self.remarks:
            self.remarks.append(text)
            self.listener.remark(text)

    def stage(
        self,
        name: str,
        kind: type[T],
        *,
        depends: object,
        make: Callable[[Path, Progress], T],
        describe: Callable[[T], tuple[int | None, str]],
    ) -> T:
        """A stage's stored or fresh result, timed and told.

        Args:
            name: one of the fixed names.
            kind: the frozen type of the result.
            depends: everything that the result depends on, besides the stage's own version.
            make: computes it, writing files into the folder it is given.
            describe: the result's size in bytes, where that means something, and one phrase about it.
        """
        progress = self.listener.started(name, self.target)
        since = time.perf_counter()
        result, cached = self.store.take(name, (VERSIONS[name], depends), kind, lambda folder: make(folder, progress))
        size, detail = describe(result)
        record = StageRecord(name, time.perf_counter() - since, cached, size, detail)
        self.records.append(record)
        self.listener.finished(record, self.target)
        return result
