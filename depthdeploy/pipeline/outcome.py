"""What a compilation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from depthdeploy.core.findings import Findings
from depthdeploy.core.report import Report
from depthdeploy.errors import DepthdeployError


@dataclass(frozen=True, slots=True)
class TargetResult:
    """One row of a matrix of targets.

    Attributes:
        target: as it was asked for, with its variant.
        folder: where the artifact and the report lie; ``None`` when the target failed before there was one.
        report: every figure; ``None`` when there is none.
        error: why it failed; ``None`` when it did not.
        findings: what the recipe's steps found and did.
    """

    target: str
    folder: Path | None
    report: Report | None
    error: DepthdeployError | None
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All targets of one compilation."""

    results: tuple[TargetResult, ...]

    @property
    def error(self) -> DepthdeployError | None:
        """The first target's error, whose exit code is the run's; ``None`` when all went well."""
        return next((result.error for result in self.results if result.error is not None), None)
