"""``depthdeploy inspect`` as a user meets it."""

import json
import struct
from pathlib import Path

import onnx
import pytest

from depthdeploy.cli.app import run
from depthdeploy.testing import graphs


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "block.onnx"
    onnx.save(graphs.depthwise_block(), path)
    return path


def test_a_table(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(graph)]) == 0
    out = capsys.readouterr().out
    assert "image float32[1,3,32,32]" in out
    assert "layer size" in out


def test_json_holds_every_layer(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(graph), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["inputs"] == ["image float32[1,3,32,32]"]
    assert summary["layer_bytes"]["Clip expand_act"] == 8


def test_json_of_a_compiled_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = b'{"version": "2.5.0", "target_platform": ["rk3588"]}'
    path = tmp_path / "net.rknn"
    path.write_bytes(struct.pack("<8sQQQ", b"RKNN", 1, 0, len(text)) + text)
    assert run(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["platforms"] == ["rk3588"]


@pytest.mark.parametrize("name", ["net.hef", "net.rknn", "net.tflite", "net.engine"])
def test_a_file_of_zeros_is_refused_in_one_paragraph(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(100))
    assert run(["inspect", str(path)]) == 3
    said = capsys.readouterr().err
    assert name in said.replace("\n", "")
    assert "Traceback" not in said
