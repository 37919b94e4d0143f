"""The header of a HEF, which is what Hailo's compiler writes, and the checksum in it.

All integers are big-endian. The layout of the four versions and what each one's checksum covers are those of HailoRT
(github.com/hailo-ai/hailort, MIT: ``libhailort/src/hef/hef_internal.hpp`` and ``hef.cpp``, v5.2).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from depthdeploy.errors import ModelError, ToolchainMissing
from depthdeploy.graph.inspect_text import damaged

MAGIC = b"\x01HEF"

_COMMON = struct.Struct(">4sII")
#: What follows the 12 common bytes, by version.
_DISTINCT = {
    0: struct.Struct(">I16s"),
    1: struct.Struct(">IQI"),
    2: struct.Struct(">QQQQ"),
    3: struct.Struct(">QQIQQQ"),
}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class HefHeader:
    """A header that agrees with its file.

    Attributes:
        version: 0 to 3.
        size: bytes of the header; the protobuf follows it.
        proto_bytes: of the protobuf.
        ccws_bytes: of the configuration words that are written to the chip, weights among them; version 0 keeps them
            in the protobuf.
        padding_bytes: between the protobuf and the configuration words.
        additional_bytes: after the configuration words.
        checksum: what was verified, as in ``MD5 of all after the header``.
    """

    version: int
    size: int
    proto_bytes: int
    ccws_bytes: int
    padding_bytes: int
    additional_bytes: int
    checksum: str


class _Checksum(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    """CRC-32 with the reflected polynomial 0xEDB88320, initial value and final XOR of all ones."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def read_header(stream: BinaryIO, path: Path) -> HefHeader:
    """The header at the start of a file, verified; the stream then stands at the protobuf.

    Raises:
        ModelError: this is no HEF, its version is unknown, its length is not what the header says, or its bytes do
            not have the checksum in it.
        ToolchainMissing: versions 2 and 3 need ``xxhash``, which is not installed.
    """
    length = stream.seek(0, 2)
    stream.seek(0)
    common = stream.read(_COMMON.size)
    if common[:4] != MAGIC:
        raise ModelError(
            f"{path} is no HEF: it begins with {common[:4].hex(' ') or 'nothing'}, not with {MAGIC.hex(' ')}.",
            "Give a .hef file of Hailo's compiler.",
        )
    if len(common) < _COMMON.size:
        raise damaged(path, f"it ends at byte {len(common)}, within the header")
    _, version, proto = _COMMON.unpack(common)
    if version not in _DISTINCT:
        raise ModelError(
            f"{path} has HEF header version {version} at byte 4; versions 0 to 3 are known.",
            "Inspect it with a newer depthdeploy or with `hailortcli parse-hef`.",
        )
    layout = _DISTINCT[version]
    distinct = stream.read(layout.size)
    if len(distinct) < layout.size:
        raise damaged(path, f"it ends at byte {_COMMON.size + len(distinct)}, within the header")
    header, expected, covered = _understood(version, proto, layout.unpack(distinct))
    _check_length(path, header, length)
    _check_sum(path, stream, header, expected, covered)
    stream.seek(header.size)
    return header


def _understood(version: int, proto: int, fields: tuple[int | bytes, ...]) -> tuple[HefHeader, str, int]:
    """The header, the checksum in it in hexadecimal, and how many bytes after the header it covers."""
    size = _COMMON.size + _DISTINCT[version].size
    match version, fields:
        case 0, (int(), bytes(md5)):
            return HefHeader(0, size, proto, 0, 0, 0, "MD5 of all after the header"), md5.hex(), proto
        case 1, (int(crc), int(ccws), int()):
            said = "CRC-32 of all after the header"
            return HefHeader(1, size, proto, ccws, 0, 0, said), f"{crc:08x}", proto + ccws
        case 2, (int(xxh3), int(ccws), int(), int()):
            said = "XXH3-64 of all after the header"
            return HefHeader(2, size, proto, ccws, 0, 0, said), f"{xxh3:016x}", proto + ccws
        case 3, (int(xxh3), int(padded), int(padding), int(additional), int(proto_xxh3), int()):
            # ccws + padding as the file has it; a padding above the sum shows as a negative size and is refused
            of_proto = proto_xxh3 != 0
            said = "XXH3-64 of the protobuf; nothing covers the rest" if of_proto else "XXH3-64 of all after the header"
            header = HefHeader(3, size, proto, padded - padding, padding, additional, said)
            covered = proto if of_proto else proto + padded + additional
            return header, f"{proto_xxh3 if of_proto else xxh3:016x}", covered
        case _:  # _DISTINCT and these cases have the same keys
            raise ModelError(f"HEF header version {version} is unknown.", "Versions 0 to 3 are known.")


def _check_length(path: Path, header: HefHeader, length: int) -> None:
    if header.ccws_bytes < 0:
        raise damaged(path, f"its header says {header.padding_bytes:,} bytes of padding, more than what they pad")
    parts = (header.size, header.proto_bytes, header.padding_bytes, header.ccws_bytes, header.additional_bytes)
    if sum(parts) != length:
        raise damaged(path, f"it has {length:,} bytes, and its header says {sum(parts):,}")


def _check_sum(path: Path, stream: BinaryIO, header: HefHeader, expected: str, covered: int) -> None:
    stream.seek(header.size)
    checksum = _new_checksum(header.version, path)
    left = covered
    while left and (block := stream.read(min(_BLOCK, left))):
        checksum.update(block)
        left -= len(block)
    if checksum.hexdigest() != expected:
        kind = header.checksum.partition(";")[0]
        raise damaged(path, f"the {kind} is {checksum.hexdigest()}, and its header says {expected}")


def _new_checksum(version: int, path: Path) -> _Checksum:
    if version == 0:
        return hashlib.md5(usedforsecurity=False)
    if version == 1:
        return _Crc32()
    try:
        import xxhash
    except ImportError as cause:
        raise ToolchainMissing(
            f"{path} has HEF header version {version}, whose checksum needs xxhash, which is not installed.",
            'Install it: `pip install "depthdeploy[inspect]"`.',
        ) from cause
    return xxhash.xxh3_64()
