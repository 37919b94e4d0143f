"""What an OpenVINO IR holds: a network in XML, its constants in a file beside it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthdeploy.core.digest import sha256_file
from depthdeploy.errors import ModelError
from depthdeploy.graph.inspect_text import bytes_by_layer, counted, damaged, largest_rows, ordered, printable


@dataclass(frozen=True, slots=True)
class IrSummary:
    """An OpenVINO IR in figures.

    Attributes:
        path: the ``.xml`` file.
        sha256: of the ``.xml`` file.
        bytes: of both files.
        weights_bytes: of the ``.bin`` file.
        version: of the format.
        inputs: ``name f32[1,3,H,W]`` each.
        outputs: likewise.
        layers: type -> how many, ``Const`` among them.
        precisions: element type of constants -> bytes in the ``.bin`` file.
        layer_bytes: layer, as in ``Convolution name``, -> bytes of the constants it computes with, the largest first.
    """

    path: Path
    sha256: str
    bytes: int
    weights_bytes: int
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: Mapping[str, int]
    precisions: Mapping[str, int]
    layer_bytes: Mapping[str, int]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        return [
            ("format", f"OpenVINO IR version {self.version}"),
            *(("input", text) for text in self.inputs),
            *(("output", text) for text in self.outputs),
            ("size", f"{self.bytes:,} bytes, {self.weights_bytes:,} of them constants"),
            ("constants", counted(self.precisions, " bytes")),
            ("layers", f"{sum(self.layers.values())}: {counted(self.layers)}"),
            *largest_rows(self.layer_bytes),
            ("sha256", self.sha256),
        ]


def inspect_ir(path: Path) -> IrSummary:
    """Read an OpenVINO IR; OpenVINO is not needed.

    Raises:
        ModelError: the ``.xml`` is missing, damaged or no IR, or its ``.bin`` is missing.
    """
    root = _parsed(path)
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ModelError(f"{path.name} has its constants in {weights.name}, which is not there.", "Put it beside it.")
    layers = list(root.iterfind("layers/layer"))
    counts = Counter(printable(layer.get("type", "?")) for layer in layers)
    held = weights.stat().st_size
    stored = _stored(path, layers, held)
    precisions: Counter[str] = Counter()
    for one in stored:
        precisions[one.type] += one.bytes
    return IrSummary(
        path=path,
        sha256=sha256_file(path),
        bytes=path.stat().st_size + held,
        weights_bytes=held,
        version=_number(root.get("version"), path),
        inputs=tuple(_port(layer, "output", layer) for layer in layers if layer.get("type") == "Parameter"),
        outputs=tuple(_result(root, layers, layer) for layer in layers if layer.get("type") == "Result"),
        layers=ordered(counts),
        precisions=ordered(precisions),
        layer_bytes=_layer_bytes(root, layers, stored),
    )


@dataclass(frozen=True, slots=True)
class _Constant:
    layer: str
    type: str
    bytes: int


def _stored(path: Path, layers: list[ET.Element], held: int) -> list[_Constant]:
    """What the ``.bin`` file holds; of constants that are stored in one place the first has the bytes."""
    found: list[_Constant] = []
    places: set[tuple[int, int]] = set()
    for layer in layers:
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None:
            continue
        place = (_number(data.get("offset"), path), _number(data.get("size"), path))
        if min(place) < 0 or sum(place) > held:
            name = printable(layer.get("name", "?"))
            weights = path.with_suffix(".bin").name
            raise damaged(path, f"constant {name!r} ends at byte {sum(place):,} of {weights}, which has {held:,} bytes")
        kind = printable(data.get("element_type", "?"))
        found.append(_Constant(layer.get("id", "?"), kind, 0 if place in places else place[1]))
        places.add(place)
    return found


def _layer_bytes(root: ET.Element, layers: list[ET.Element], stored: list[_Constant]) -> dict[str, int]:
    """Bytes of constants by the layer that computes with them; a value goes by its layer and port."""
    read: dict[str, list[str]] = {}
    for edge in root.iterfind("edges/edge"):
        source = f"{edge.get('from-layer')}:{edge.get('from-port')}"
        read.setdefault(edge.get("to-layer", "?"), []).append(source)
    written = {
        layer.get("id", "?"): [f"{layer.get('id')}:{port.get('id')}" for port in layer.iterfind("output/port")]
        for layer in layers
    }
    constants = {value: one.bytes for one in stored for value in written[one.layer][:1]}
    steps = ((printable(f"{layer.get('type')} {layer.get('name')}"), layer.get("id", "?")) for layer in layers)
    return bytes_by_layer(constants, ((name, read.get(number, []), written[number]) for name, number in steps))


def _parsed(path: Path) -> ET.Element:
    try:
        root = ET.parse(path).getroot()
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}.", "Check the path.") from cause
    except (ET.ParseError, ValueError) as cause:
        raise ModelError(f"{path} is not XML: {cause}.", "Give the .xml file of an OpenVINO IR.") from cause
    if root.tag != "net" or root.find("layers") is None:
        raise ModelError(
            f"{path} is no OpenVINO IR: its root is <{root.tag}>.", "Give the .xml file of an OpenVINO IR."
        )
    return root


def _number(text: str | None, path: Path) -> int:
    try:
        return int(text or "")
    except ValueError as cause:
        raise ModelError(f"{path} is damaged: {text!r} is no number.", "Compile the network anew.") from cause


def _result(root: ET.Element, layers: list[ET.Element], result: ET.Element) -> str:
    """An output under the name of the tensor that reaches it, which is what a runtime calls it."""
    edge = next((e for e in root.iterfind("edges/edge") if e.get("to-layer") == result.get("id")), None)
    source = None if edge is None else edge.get("from-layer")
    maker = next((layer for layer in layers if layer.get("id") == source), result)
    return _port(result, "input", maker, None if edge is None else edge.get("from-port"))


def _port(layer: ET.Element, side: str, named_by: ET.Element, port_id: str | None = None) -> str:
    port = layer.find(f"{side}/port")
    ports = list(named_by.iterfind("output/port"))
    named = next((one for one in ports if port_id in (None, one.get("id"))), None)
    name = (named.get("names") if named is not None else None) or layer.get("name") or "?"
    if port is None:
        return printable(name)
    sizes = ",".join(dimension.text or "?" for dimension in port.iterfind("dim"))
    return printable(f"{name} {(port.get('precision') or '?').lower()}[{sizes}]")
