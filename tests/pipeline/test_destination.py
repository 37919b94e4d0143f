"""Targets by name: a target, a variant of one, a variant alone, an alias; letter by letter, never the nearest."""

from __future__ import annotations

import pytest

from depthdeploy.core.request import CompileRequest
from depthdeploy.errors import UsageError
from depthdeploy.pipeline.destination import resolve
from depthdeploy.registry import targets


def goals(*names: str, precision: str = "") -> list[str]:
    return [str(goal) for goal in resolve(CompileRequest(targets=names, precision=precision))]


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("hailo", "hailo:hailo8 int8"),
        ("hailo8", "hailo:hailo8 int8"),
        ("hailo8l", "hailo:hailo8l int8"),
        ("hailo:hailo10h", "hailo:hailo10h int8"),
        ("rk3588", "rknn:rk3588 int8"),
        ("rk3588s", "rknn:rk3588 int8"),
        ("rdk-s100", "horizon:rdk-s100 int8"),
        ("jetson-orin", "tensorrt:orin int8"),
        ("tensorrt:jetson-orin", "tensorrt:orin int8"),
        ("jetson-nano", "tensorrt:jetson-nano fp16"),
        ("npu-4000", "openvino:npu-4000 int8"),
        ("onnxruntime:cpu-avx2", "onnxruntime:cpu-avx2 int8"),
    ],
)
def test_a_name_means_one_chip(name: str, goal: str) -> None:
    assert goals(name) == [goal]


def test_names_of_all_chips_and_aliases_are_their_own() -> None:
    """A chip's name or alias is no target's, and means one chip except where its target has to be said."""
    owners: dict[str, set[str]] = {}
    for target in targets:
        for variant in targets[target].capabilities.variants.values():
            for name in (variant.name, *variant.aliases):
                owners.setdefault(name, set()).add(target)
    assert not set(owners) & set(targets)
    assert {name for name, found in owners.items() if len(found) > 1} == {"cpu-vnni", "cpu-avx2"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rk3589", "There is no target 'rk3589'. Did you mean rk3588"),
        ("rk358", "There is no target 'rk358'"),
        ("RK3588", "There is no target 'RK3588'"),
        ("hailo8 l", "There is no target 'hailo8 l'"),
        ("openvin", "Did you mean openvino"),
        ("rknn:rk3589", "rknn has no variant 'rk3589'. Did you mean rk3588"),
        ("cpu-vnni", "2 targets have a variant 'cpu-vnni'. Say --target onnxruntime:cpu-vnni or --target openvino"),
    ],
)
def test_the_nearest_name_is_told_and_not_taken(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        goals(name)
    assert message in str(caught.value)


def test_one_chip_by_two_names_is_asked_for_twice() -> None:
    with pytest.raises(UsageError, match="tensorrt:orin int8 is asked for twice"):
        goals("jetson-orin", "tensorrt:orin")


def test_a_precision_that_a_chip_lacks() -> None:
    assert goals("rdk-s100", precision="int16") == ["horizon:rdk-s100 int16"]
    with pytest.raises(UsageError, match="tensorrt:jetson-nano has no precision 'int8'"):
        goals("jetson-nano", precision="int8")
