"""What a HEF holds, which is the file that a Hailo chip runs; HailoRT is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from depthdeploy.core.digest import sha256_file
from depthdeploy.errors import ModelError
from depthdeploy.graph.hef_groups import HefGroup, groups_of
from depthdeploy.graph.hef_header import HefHeader, read_header
from depthdeploy.graph.hef_schema import ARCHITECTURES, RUNS_ON, hef_class
from depthdeploy.graph.inspect_text import damaged, printable


@dataclass(frozen=True, slots=True)
class HefSummary:
    """A HEF in figures.

    Attributes:
        path: the file.
        sha256: of its bytes.
        bytes: of the file.
        header: version, sizes of sections, the checksum that was verified.
        architecture: the chip it was compiled for, in the names of HailoRT's schema.
        runs_on: chips that HailoRT lets it run on; empty for an architecture that is not known.
        compiler: version of the compiler as stored; empty when it is not.
        extensions: what a runtime must understand.
        optional_extensions: what it may ignore.
        external_resources: name and bytes of what is stored beside the configuration words.
        groups: the network groups.
    """

    path: Path
    sha256: str
    bytes: int
    header: HefHeader
    architecture: str
    runs_on: tuple[str, ...]
    compiler: str
    extensions: tuple[str, ...]
    optional_extensions: tuple[str, ...]
    external_resources: tuple[tuple[str, int], ...]
    groups: tuple[HefGroup, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        header = self.header
        rows = [
            ("format", f"HEF, header version {header.version}"),
            ("checksum", f"{header.checksum}: verified"),
            ("architecture", self.architecture),
            ("runs on", ", ".join(self.runs_on) or f"not known for {self.architecture}"),
            ("compiler", self.compiler or "not stated"),
        ]
        for group in self.groups:
            rows += group.rows()
        rows += [
            ("size", f"{self.bytes:,} bytes: {_sections(header)}"),
            ("size by layer", "not in the format: weights lie in configuration words that no layer is named for"),
        ]
        rows += [("external resource", f"{name} {size:,} bytes") for name, size in self.external_resources]
        if self.extensions:
            rows.append(("extensions", ", ".join(self.extensions)))
        if self.optional_extensions:
            rows.append(("optional extensions", ", ".join(self.optional_extensions)))
        return [*rows, ("sha256", self.sha256)]


def inspect_hef(path: Path) -> HefSummary:
    """Read a HEF, of which the configuration words are hashed and not kept in memory.

    Raises:
        ModelError: the file is missing, no HEF, damaged, or of a header version that is not known.
        ToolchainMissing: ``xxhash`` is needed for the checksum and is not installed.
    """
    try:
        with path.open("rb") as stream:
            header = read_header(stream, path)
            proto = stream.read(header.proto_bytes)
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause
    hef = _parsed(path, header, proto)
    arch = hef.header.hw_arch
    return HefSummary(
        path=path,
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        header=header,
        architecture=ARCHITECTURES.get(arch, f"architecture {arch}"),
        runs_on=RUNS_ON.get(arch, ()),
        compiler=printable(hef.header.sdk_version_str),
        extensions=_names(hef.extensions),
        optional_extensions=_names(hef.optional_extensions),
        external_resources=tuple((printable(one.name), int(one.size)) for one in hef.external_resources),
        groups=groups_of(path, hef),
    )


def _parsed(path: Path, header: HefHeader, proto: bytes) -> Any:
    try:
        hef = hef_class().FromString(proto)
    except DecodeError as cause:
        end = header.size + header.proto_bytes
        raise damaged(path, f"bytes {header.size} to {end} are not the protobuf of a HEF") from cause
    if not hef.network_groups:
        raise damaged(path, f"the protobuf at byte {header.size} has no network group")
    return hef


def _names(extensions: Any) -> tuple[str, ...]:
    return tuple(printable(one.name) or f"extension {one.type_index}" for one in extensions)


def _sections(header: HefHeader) -> str:
    sections = {
        "header": header.size,
        "protobuf": header.proto_bytes,
        "padding": header.padding_bytes,
        "configuration words": header.ccws_bytes,
        "additional information": header.additional_bytes,
    }
    return ", ".join(f"{name} {size:,}" for name, size in sections.items() if size)
