"""A report for machines: ``report.json``, described by ``docs/reference/report.schema.json``."""

from __future__ import annotations

import json
from pathlib import Path

from cattrs import BaseValidationError, Converter, transform_error

from depthdeploy.core.digest import plain
from depthdeploy.core.report import REPORT_SCHEMA, Report
from depthdeploy.errors import UsageError


def report_json(report: Report) -> str:
    """The report as JSON: sorted keys, two spaces, no NaN and no infinity; the same report gives the same text.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    return json.dumps(plain(report), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_report(path: Path) -> Report:
    """A report that was written before.

    Raises:
        UsageError: the file cannot be read, is no report, or is of another major schema version; every fault is named.
    """
    remedy = "Give the path of a report.json that depthdeploy wrote."
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror or cause}.", remedy) from cause
    except ValueError as cause:
        raise UsageError(f"{path} is not JSON: {cause}.", remedy) from cause
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, str):
        raise UsageError(f"{path} is not a report: it names no schema version.", remedy)
    if schema.partition(".")[0] != REPORT_SCHEMA.partition(".")[0]:
        raise UsageError(
            f"{path} has schema version {schema}; this depthdeploy reads {REPORT_SCHEMA}.",
            "Read it with the version of depthdeploy that wrote it.",
        )
    try:
        return Converter(forbid_extra_keys=True).structure(content, Report)
    except BaseValidationError as cause:
        faults = "; ".join(transform_error(cause, path="report"))
        raise UsageError(f"{path} is not a report of schema {REPORT_SCHEMA}: {faults}.", remedy) from cause
