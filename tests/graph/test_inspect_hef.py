"""Summaries of HEFs that a test double writes byte by byte from HailoRT's public layout: the compiler is not public."""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from depthdeploy.core.digest import plain
from depthdeploy.errors import ModelError, ToolchainMissing
from depthdeploy.graph.inspect import HefSummary, inspect_file, inspect_hef

Value = int | float | str | bytes


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def message(*fields: tuple[int, str, Value]) -> bytes:
    """A protobuf message of (field number, kind, value); a kind that hef.proto does not use here is refused."""
    out = b""
    for number, kind, value in fields:
        match kind, value:
            case "int", int():
                out += varint(number << 3) + varint(value)
            case "double", float():
                out += varint(number << 3 | 1) + struct.pack("<d", value)
            case "float", float():
                out += varint(number << 3 | 5) + struct.pack("<f", value)
            case "text", str():
                out += varint(number << 3 | 2) + varint(len(value.encode())) + value.encode()
            case "message", bytes():
                out += varint(number << 3 | 2) + varint(len(value)) + value
            case _:
                raise ValueError(f"the double cannot write {kind} {value!r}")
    return out


class StrictHefWriter:
    """A test double of the compiler: writes headers 0 to 3 as HailoRT reads them, and refuses any other."""

    def __init__(self, version: int, proto: bytes, ccws: bytes = b"weights" * 9, *, hash_proto: bool = False) -> None:
        self.version, self.proto, self.ccws, self.hash_proto = version, proto, ccws, hash_proto

    def bytes(self) -> bytes:
        start = struct.pack(">III", 0x01484546, self.version, len(self.proto))
        match self.version:
            case 0:
                return start + struct.pack(">I", 0) + hashlib.md5(self.proto).digest() + self.proto
            case 1:
                body = self.proto + self.ccws
                return start + struct.pack(">IQI", zlib.crc32(body), len(self.ccws), 0) + body
            case 2:
                body = self.proto + self.ccws
                return start + struct.pack(">QQQQ", xxhash.xxh3_64_intdigest(body), len(self.ccws), 0, 0) + body
            case 3:
                padding, additional = b"\0" * 5, b"more"
                body = self.proto + padding + self.ccws + additional
                whole = xxhash.xxh3_64_intdigest(body)
                of_proto = xxhash.xxh3_64_intdigest(self.proto) if self.hash_proto else 0
                padded = len(padding) + len(self.ccws)
                fields = (whole, padded, len(padding), len(additional), of_proto, 0)
                return start + struct.pack(">QQIQQQ", *fields) + body
            case _:
                raise ValueError(f"HailoRT knows no header version {self.version}")


def numeric(zero: float, scale: float, scales: Iterable[float] = ()) -> bytes:
    values = tuple(scales)
    zeros = (zero,) * len(values)
    vectors = [(5, "double", value) for value in zeros] + [(6, "double", value) for value in values]
    return message((1, "float", zero), (2, "float", scale), *vectors)


def edge_layer(name: str, direction: int, width: int, quantization: bytes, connection: int = 0) -> bytes:
    sizes = ((1, "int", 192), (2, "int", 192), (3, "int", 256), (4, "int", 256), (5, "int", 3), (6, "int", 8))
    base = message(*sizes, (12, "int", width))
    info = message((1, "text", name), (2, "message", base), (3, "message", quantization))
    switch = message((3, "int", connection))
    return message((1, "int", direction), (3, "message", info), (5, "message", switch))


def context(number: int, *layers: bytes) -> bytes:
    metadata = message((1, "text", f"context {number}"), *((2, "message", layer) for layer in layers))
    return message((1, "int", number), (2, "message", b""), (3, "message", metadata))


def pad(index: int, name: str, order: int, kind: int, quantization: bytes) -> bytes:
    shape = message((1, "int", 192), (2, "int", 192), (3, "int", 256), (5, "int", 1), (6, "int", 8))
    named = ((1, "int", index), (2, "text", name), (3, "int", order))
    return message(*named, (5, "message", quantization), (6, "message", shape), (8, "int", kind))


CONTEXTS = (
    context(0, edge_layer("net/input", 0, 1, numeric(0.0, 0.25)), edge_layer("inner", 1, 1, numeric(0.0, 1.0), 1)),
    context(1, edge_layer("net/conv9", 1, 2, numeric(3.0, 0.5))),
    context(2),
)
METADATA = message((1, "text", "net"), (4, "double", 123.5))


def hef(group: bytes, arch: int = 0) -> bytes:
    header = message((1, "int", arch), (2, "int", 1700000000), (3, "text", "3.31.0"), (4, "int", 1))
    extension = message((1, "int", 4), (2, "text", "IS_MULTI_CONTEXTS"))
    resource = message((1, "int", 0), (2, "int", 7), (3, "text", "tokens"))
    parts = ((1, header), (2, group), (3, b"opaque"), (5, extension), (6, message((1, "int", 30))), (7, resource))
    return message(*((number, "message", part) for number, part in parts))


def old_group() -> bytes:
    """Everything in the network group, as files had it before operations."""
    contexts = [(3, "message", one) for one in CONTEXTS]
    return message((1, "message", METADATA), *contexts, (6, "text", "net"))


def core_op() -> bytes:
    return message((1, "message", METADATA), *((3, "message", one) for one in CONTEXTS), (6, "text", "net"))


def new_group(core: bytes) -> bytes:
    given = pad(0, "net/input", 1, 1, numeric(0.0, 0.25))
    made = pad(1, "net/conv9", 2, 2, numeric(3.0, 0.0, (0.5, 0.125)))
    first = message((1, "text", "core"), (2, "message", given), (3, "message", made), (4, "message", core))
    taken = pad(2, "", 1, 2, numeric(3.0, 0.5))
    after = pad(3, "", 99, 7, b"")
    second = message((1, "text", "softmax"), (2, "message", taken), (3, "message", after))
    edge = message((1, "int", 1), (2, "int", 2))
    return message((8, "message", first), (8, "message", second), (9, "message", edge), (10, "text", "depth net"))


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "net.hef"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("version", "hash_proto", "checksum", "sizes"),
    [
        (0, False, "MD5 of all after the header", (32, 0)),
        (1, False, "CRC-32 of all after the header", (28, 63)),
        (2, False, "XXH3-64 of all after the header", (44, 63)),
        (3, False, "XXH3-64 of all after the header", (56, 63)),
        (3, True, "XXH3-64 of the protobuf; nothing covers the rest", (56, 63)),
    ],
)
def test_every_header_version(
    tmp_path: Path, version: int, hash_proto: bool, checksum: str, sizes: tuple[int, int]
) -> None:
    path = write(tmp_path, StrictHefWriter(version, hef(old_group()), hash_proto=hash_proto).bytes())
    summary = inspect_hef(path)
    assert summary == inspect_file(path)
    assert (summary.header.version, summary.header.checksum) == (version, checksum)
    assert (summary.header.size, summary.header.ccws_bytes) == sizes
    assert summary.bytes == path.stat().st_size
    assert (summary.architecture, summary.runs_on, summary.compiler) == ("HAILO8", ("HAILO8",), "3.31.0")
    assert summary.extensions == ("IS_MULTI_CONTEXTS",)
    assert summary.optional_extensions == ("extension 30",)
    assert summary.external_resources == (("tokens", 7),)
    json.dumps(plain(summary), allow_nan=False)


def test_the_old_layout(tmp_path: Path) -> None:
    (group,) = inspect_hef(write(tmp_path, StrictHefWriter(1, hef(old_group())).bytes())).groups
    assert (group.name, group.networks, dict(group.contexts)) == ("net", ("net",), {"all": 3})
    assert group.bottleneck_fps == 123.5
    assert [tensor.text() for tensor in group.inputs] == ["net/input UINT8 (192x256x3), scale 0.25 zero point 0"]
    assert [tensor.text() for tensor in group.outputs] == ["net/conv9 UINT16 (192x256x3), scale 0.5 zero point 3"]


def test_operations_with_pads(tmp_path: Path) -> None:
    (group,) = inspect_hef(write(tmp_path, StrictHefWriter(2, hef(new_group(core_op()))).bytes())).groups
    assert (group.name, dict(group.contexts), group.bottleneck_fps) == ("depth net", {"all": 3}, 123.5)
    assert [tensor.text() for tensor in group.inputs] == ["net/input UINT8 NHWC(192x256x1), scale 0.25 zero point 0"]
    assert [tensor.text() for tensor in group.outputs] == ["softmax type 7 order 99(192x256x1)"]
    assert [tensor.name for tensor in group.output_streams] == ["net/conv9"]
    assert group.output_streams[0].type == "UINT16"


def test_scales_of_features_go_before_the_single_one(tmp_path: Path) -> None:
    made = pad(1, "out", 6, 2, numeric(3.0, 9.0, (0.5, 0.125)))
    op = message((1, "text", "core"), (3, "message", made), (4, "message", core_op()))
    path = write(tmp_path, StrictHefWriter(2, hef(message((8, "message", op)))).bytes())
    (tensor,) = inspect_hef(path).groups[0].outputs
    assert (tensor.scale, tensor.zero_point) == ((0.5, 0.125), (3.0, 3.0))
    assert tensor.text() == "out UINT16 NC(192x256x1), 2 scales 0.125 to 0.5"


def test_one_program_for_each_cluster_layout(tmp_path: Path) -> None:
    layouts = [
        message((1, "message", core_op()), (2, "message", message((1, "int", bitmap)))) for bitmap in (0x7, 0x1F)
    ]
    core = message((1, "message", METADATA), *((7, "message", one) for one in layouts))
    summary = inspect_hef(write(tmp_path, StrictHefWriter(3, hef(new_group(core), arch=3)).bytes()))
    assert (summary.architecture, summary.runs_on) == ("HAILO8L", ("HAILO8L", "HAILO8"))
    (group,) = summary.groups
    assert dict(group.contexts) == {"0x7": 3, "0x1f": 3}
    assert [tensor.name for tensor in group.input_streams] == ["net/input"]


def test_an_architecture_that_is_not_known_is_shown_by_number(tmp_path: Path) -> None:
    summary = inspect_hef(write(tmp_path, StrictHefWriter(0, hef(old_group(), arch=77)).bytes()))
    assert dict(summary.rows())["runs on"] == "not known for architecture 77"
    summary = inspect_hef(write(tmp_path, StrictHefWriter(0, hef(old_group(), arch=5)).bytes()))
    assert dict(summary.rows())["runs on"] == "not known for HAILO10H"  # HailoRT's table has no row for number 5


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("at", [-1, 70])
def test_a_changed_byte_is_damage(tmp_path: Path, version: int, at: int) -> None:
    data = bytearray(StrictHefWriter(version, hef(old_group())).bytes())
    data[at] ^= 1
    with pytest.raises(
        ModelError, match=r"is damaged: the (MD5|CRC-32|XXH3-64) of all after the header is [0-9a-f]+, "
    ):
        inspect_hef(write(tmp_path, bytes(data)))


def test_the_hash_of_the_protobuf_covers_the_protobuf_alone(tmp_path: Path) -> None:
    data = bytearray(StrictHefWriter(3, hef(old_group()), hash_proto=True).bytes())
    data[-1] ^= 1  # HailoRT accepts this too: the chip's firmware checks these bytes later
    assert isinstance(inspect_hef(write(tmp_path, bytes(data))), HefSummary)
    data[60] ^= 1
    with pytest.raises(ModelError, match="the XXH3-64 of the protobuf is"):
        inspect_hef(write(tmp_path, bytes(data)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begins with nothing"),
        (b"FEH\x01" + bytes(60), "begins with 46 45 48 01, not with 01 48 45 46"),
        (b"\x01HEF\0\0", "ends at byte 6"),
        (struct.pack(">4sII", b"\x01HEF", 2, 9) + bytes(4), "ends at byte 16"),
        (struct.pack(">4sII", b"\x01HEF", 4, 9) + bytes(80), "header version 4 at byte 4"),
        (struct.pack(">4sIIQQIQQQ", b"\x01HEF", 3, 0, 0, 1, 2, 0, 0, 0), "2 bytes of padding"),
        (StrictHefWriter(1, hef(old_group())).bytes()[:-1], "its header says"),
        (StrictHefWriter(0, b"\xff\xff").bytes(), "bytes 32 to 34 are not the protobuf"),
        (StrictHefWriter(0, b"").bytes(), "has no network group"),
        (StrictHefWriter(0, hef(new_group(core_op()).replace(b"net/input", b"net/inpu\xff"))).bytes(), "protobuf"),
    ],
)
def test_what_is_found_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        inspect_hef(write(tmp_path, data))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_scale_that_is_not_finite(tmp_path: Path, bad: float) -> None:
    made = message((8, "message", message((3, "message", pad(1, "out", 1, 1, numeric(0.0, bad))))))
    with pytest.raises(ModelError, match="zero point of 'out' is not finite"):
        inspect_hef(write(tmp_path, StrictHefWriter(0, hef(made)).bytes()))


def test_without_xxhash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xxhash", None)
    proto = hef(old_group())
    assert inspect_hef(write(tmp_path, StrictHefWriter(1, proto).bytes())).header.version == 1
    data = struct.pack(">4sIIQQQQ", b"\x01HEF", 2, len(proto), 0, 0, 0, 0) + proto
    with pytest.raises(ToolchainMissing, match=r"depthdeploy\[inspect\]"):
        inspect_hef(write(tmp_path, data))


@given(data=st.data(), version=st.sampled_from([0, 1, 2, 3]), resealed=st.booleans())
def test_damage_is_never_a_crash(
    data: st.DataObject, version: int, resealed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut and flipped files; half of them with a checksum that fits the damage, so that the protobuf is read."""
    proto = bytearray(hef(new_group(core_op())))
    whole = bytearray(StrictHefWriter(version, bytes(proto)).bytes())
    target = proto if resealed else whole
    for _ in range(data.draw(st.integers(0, 4))):
        target[data.draw(st.integers(0, len(target) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    del target[data.draw(st.integers(0, len(target))) :]
    content = StrictHefWriter(version, bytes(proto)).bytes() if resealed else bytes(whole)
    path = write(tmp_path_factory.getbasetemp(), content)
    try:
        summary = inspect_hef(path)
    except ModelError:
        return
    json.dumps(plain(summary), allow_nan=False)
    assert all(text.isprintable() for row in summary.rows() for text in row)
