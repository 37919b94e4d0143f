"""What a user asks for is checked before anything runs."""

from pathlib import Path

import pytest

from depthdeploy.core.depth import DepthKind
from depthdeploy.core.request import CompileRequest, Drop, parse_size, split_argument
from depthdeploy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"), [("256", (256, 256)), ("518x686", (518, 686)), ("252X336", (252, 336)), (" 32x64 ", (32, 64))]
)
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "x", "256x", "256x0", "256x256x3", "-1", "1.5"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_drops() -> None:
    assert Drop.parse("delta1=0.5") == Drop("delta1", 0.5)


@pytest.mark.parametrize("text", ["delta1", "delta1=", "delta1=x", "delta1=-1", "delta1=nan", "sqnr=3", "=1"])
def test_other_texts_are_no_drops(text: str) -> None:
    with pytest.raises(UsageError, match="--max-drop"):
        Drop.parse(text)


def test_arguments_keep_their_colons() -> None:
    assert split_argument("folder:C:/photos") == ("folder", "C:/photos")
    assert split_argument("sample") == ("sample", "")


def test_two_networks_are_refused() -> None:
    with pytest.raises(UsageError, match="two networks"):
        CompileRequest(targets=("onnxruntime",), model="pico", onnx=Path("x.onnx"))


def test_no_target_and_a_target_twice_are_refused() -> None:
    with pytest.raises(UsageError, match="No target"):
        CompileRequest(targets=())
    with pytest.raises(UsageError, match="twice"):
        CompileRequest(targets=("openvino", "openvino"))


@pytest.mark.parametrize("count", [0, -3])
def test_no_photograph_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="no photograph"):
        CompileRequest(targets=("openvino",), calibration_count=count)


def test_a_kind_without_a_foreign_network_is_refused() -> None:
    with pytest.raises(UsageError, match="--onnx"):
        CompileRequest(targets=("openvino",), output_kind=DepthKind.METRIC_DEPTH)
