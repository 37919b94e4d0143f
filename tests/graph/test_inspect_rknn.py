"""Summaries of RKNN files that a test double writes byte by byte in the container that public readers know."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthdeploy.core.digest import plain
from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect import inspect_file, inspect_rknn

FLAT = b"\x58\0\0\0RKNN" + bytes(24)


def tensor(number: int, name: str, kind: str, *sizes: int) -> dict[str, object]:
    dtype = {"qnt_method": "layer", "qnt_type": kind, "vx_type": kind}
    return {"dim_num": len(sizes), "dtype": dtype, "size": list(sizes), "tensor_id": number, "url": name}


def end(side: str, number: int) -> dict[str, object]:
    return {"left": side, "left_tensor_id": 0, "right": "norm_tensor", "right_tensor_id": number}


DESCRIPTION: dict[str, object] = {
    "version": "2.5.0",
    "target_platform": ["rk3588"],
    "network_platform": "ONNX",
    "ori_network_platform": "ONNX",
    "name": "rknn model",
    "nodes": [{"op": "RKNN_OP_NNBG", "name": "nnbg", "uid": 0}],
    "norm_tensor": [tensor(0, "image", "int8", 1, 3, 192, 256), tensor(1, "depth", "float16", 1, 1, 192, 256)],
    "graph": [end("input", 0), end("output", 1)],
}


class StrictRknnWriter:
    """A test double of the toolkit: the container of versions 1 to 6, and no other."""

    def __init__(self, version: int = 6, program: bytes = FLAT, description: object = DESCRIPTION) -> None:
        if version & ~0x1000 not in range(1, 7):
            raise ValueError(f"no public reader knows container version {version}")
        self.version, self.program = version, program
        self.text = description if isinstance(description, bytes) else json.dumps(description).encode()

    def bytes(self) -> bytes:
        padding = b"" if self.version & ~0x1000 == 1 or not self.program else bytes(40)
        start = struct.pack("<8sQQ", b"RKNN", self.version, len(self.program))
        return start + padding + self.program + struct.pack("<Q", len(self.text)) + self.text


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "net.rknn"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 0x1001, 0x1004])
def test_every_container_version(tmp_path: Path, version: int) -> None:
    path = write(tmp_path, StrictRknnWriter(version).bytes())
    summary = inspect_rknn(path)
    assert summary == inspect_file(path)
    assert (summary.container, summary.toolkit, summary.platforms) == (version, "2.5.0", ("rk3588",))
    assert summary.inputs == ("image int8[1,3,192,256]",)
    assert summary.outputs == ("depth float16[1,1,192,256]",)
    assert summary.precisions == {"float16": 1, "int8": 1}
    assert summary.nodes == {"RKNN_OP_NNBG": 1}
    assert (summary.program, summary.program_bytes) == ("FlatBuffers, schema not documented", len(FLAT))
    assert summary.bytes == path.stat().st_size
    assert "no checksum, scale, zero point" in dict(summary.rows())["not documented"]


@pytest.mark.parametrize(
    ("program", "kind"),
    [(b"VPMN" + bytes(9), "OpenVX binary, not documented"), (b"???", "not documented"), (b"", "none")],
)
def test_programs_of_other_kinds(tmp_path: Path, program: bytes, kind: str) -> None:
    assert inspect_rknn(write(tmp_path, StrictRknnWriter(program=program).bytes())).program == kind


def test_types_of_the_first_toolkit(tmp_path: Path) -> None:
    described = DESCRIPTION | {"norm_tensor": [tensor(0, "image", "VSI_NN_TYPE_UINT8", 3, 8, 8)]}
    summary = inspect_rknn(write(tmp_path, StrictRknnWriter(description=described).bytes()))
    assert (summary.inputs, summary.outputs) == (("image uint8[3,8,8]",), ())


def test_a_network_that_is_not_quantized_has_empty_types(tmp_path: Path) -> None:
    described = DESCRIPTION | {"norm_tensor": [tensor(0, "image", "", 3, 8, 8)]}
    assert inspect_rknn(write(tmp_path, StrictRknnWriter(description=described).bytes())).inputs == ("image ?[3,8,8]",)


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"graph": 3, "norm_tensor": "x", "nodes": [[]], "target_platform": {}, "version": 2},
        {"graph": [{"left": [], "right_tensor_id": {}}], "norm_tensor": [{"dtype": [], "tensor_id": []}]},
        {"version": "\ud800\x1b[31m\n", "target_platform": ["\n"], "norm_tensor": [tensor(0, "\x07", "\n", 1)]},
    ],
)
def test_a_description_of_another_form_is_told_as_far_as_it_goes(tmp_path: Path, described: object) -> None:
    summary = inspect_rknn(write(tmp_path, StrictRknnWriter(description=described).bytes()))
    assert all(text.isprintable() for row in summary.rows() for text in row)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begins with nothing"),
        (b"CYPTRKNN" + bytes(90), "encrypted"),
        (b"RKNX" + bytes(90), "begins with 52 4b 4e 58"),
        (b"RKNN" + bytes(9), "ends at byte 13"),
        (struct.pack("<8sQQ", b"RKNN", 9, 0) + bytes(90), "container version 0x9 at byte 8"),
        (struct.pack("<8sQQ", b"RKNN", 6, 1 << 60) + bytes(90), "at byte 64, and the file has 114 bytes"),
        (StrictRknnWriter().bytes()[:-1], "byte 96 says"),
        (StrictRknnWriter(description=b"{]").bytes(), "at byte 104 is not JSON"),
        (StrictRknnWriter(description=b"[" * 100_000).bytes(), "is not JSON"),
        (StrictRknnWriter(description=b"\xff\xfe\xff").bytes(), "is not JSON"),
        (StrictRknnWriter(description=[]).bytes(), "is no JSON object"),
    ],
)
def test_what_is_found_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        inspect_rknn(write(tmp_path, data))


@given(data=st.data(), version=st.sampled_from([1, 6]))
def test_damage_is_never_a_crash(data: st.DataObject, version: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(StrictRknnWriter(version).bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    del content[data.draw(st.integers(0, len(content))) :]
    path = write(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        summary = inspect_rknn(path)
    except ModelError:
        return
    json.dumps(plain(summary), allow_nan=False)
    assert all(text.isprintable() for row in summary.rows() for text in row)


@given(cut=st.integers(0, 10_000))
def test_every_cut_is_found(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = StrictRknnWriter().bytes()
    path = write(tmp_path_factory.getbasetemp(), whole[: cut % len(whole)])
    with pytest.raises(ModelError):
        inspect_rknn(path)
