"""The published schema describes every field, and a written report obeys it."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from depthdeploy.core import findings
from depthdeploy.core import report as records
from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.host_tail import HostStep, HostTail
from depthdeploy.core.metrics import Distribution, Evaluation, ImageScore, Latency
from depthdeploy.core.report import Report
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.report.json import report_json

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "report.schema.json").read_text("utf-8"))
CLASSES: dict[str, type] = {
    "inputContract": InputContract,
    "depthContract": DepthContract,
    "tensor": TensorSpec,
    "hostStep": HostStep,
    "hostTail": HostTail,
    "interface": records.InterfaceRecord,
    "network": records.NetworkRecord,
    "quantization": records.QuantizationRecord,
    "legalization": records.LegalizationRecord,
    "findings": findings.Findings,
    "step": findings.StepRecord,
    "sensitivity": findings.Sensitivity,
    "paretoPoint": findings.ParetoPoint,
    "selection": records.SelectionRecord,
    "distribution": Distribution,
    "imageScore": ImageScore,
    "evaluation": Evaluation,
    "kernelCheck": records.KernelCheck,
    "latency": Latency,
    "stage": records.StageRecord,
}


@pytest.fixture
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


def test_a_written_report_obeys_the_schema(report: Report, validator: Draft202012Validator) -> None:
    validator.validate(json.loads(report_json(report)))
    bare = replace(report, quantization=None, kernels=None, fp32_latency=None, artifact_latency=None, evaluations=())
    validator.validate(json.loads(report_json(bare)))


@pytest.mark.parametrize(
    ("key", "value"),
    [("schema", "2.0"), ("fp32_bytes", -1), ("target", None), ("extra", 1), ("files", {"a": "short"})],
)
def test_what_is_no_report_is_refused(report: Report, validator: Draft202012Validator, key: str, value: object) -> None:
    content = json.loads(report_json(report))
    content[key] = value
    with pytest.raises(ValidationError):
        validator.validate(content)


def objects(schema: dict[str, Any], path: str = "report") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    yield from schema.get("$defs", {}).items()


@pytest.mark.parametrize(("name", "schema"), list(objects(SCHEMA)))
def test_every_field_is_there_required_and_described(name: str, schema: dict[str, Any]) -> None:
    fields = [field.name for field in dataclasses.fields(CLASSES.get(name, Report))]
    assert list(schema["properties"]) == fields
    assert schema["required"] == fields
    assert schema["additionalProperties"] is False
    for field, part in schema["properties"].items():
        assert part.get("description", "").endswith("."), f"{name}.{field}"
