"""The network groups of a HEF: contexts, inputs, outputs and streams, of both generations of its layout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthdeploy.graph.hef_schema import ORDERS, TYPES
from depthdeploy.graph.inspect_text import damaged, printable

_BOUNDARY = 0  # ProtoHEFEdgeConnectionType: this edge leaves the chip
_TO_HOST = 1  # ProtoHEFEdgeLayerDirection
#: Bytes of one value of a stream -> its type.
_WIDTHS = {1: "UINT8", 2: "UINT16"}


@dataclass(frozen=True, slots=True)
class HefTensor:
    """An input or output.

    Attributes:
        name: as stored.
        type: ``UINT8``, ``UINT16``, ``AUTO``, or ``?`` when it is not stored.
        order: of the dimensions; empty when it is not stored.
        shape: height, width, features without padding; of detections, classes and boxes of one class.
        scale: real value of one step: ``real = (code - zero_point) * scale``. One for all, or one per feature.
        zero_point: the code of 0, as many as scales.
    """

    name: str
    type: str
    order: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    zero_point: tuple[float, ...]

    def text(self) -> str:
        """``name UINT8 NHWC(192x256x3), scale 0.0039 zero point 0``."""
        text = f"{self.name} {self.type} {self.order}({'x'.join(map(str, self.shape)) or '?'})"
        if len(self.scale) == 1:
            return f"{text}, scale {self.scale[0]:.6g} zero point {self.zero_point[0]:g}"
        if self.scale:
            return f"{text}, {len(self.scale)} scales {min(self.scale):.6g} to {max(self.scale):.6g}"
        return text


@dataclass(frozen=True, slots=True)
class HefGroup:
    """A network group.

    Attributes:
        name: as stored.
        networks: names of the networks in it.
        contexts: cluster layout -> contexts that the chip switches through for one inference. ``all`` stands for
            every layout; files for Hailo-8L and 15M may hold one program per layout.
        bottleneck_fps: frames per second of the slowest part as the compiler estimates it; ``None`` when not stored.
        inputs: pads that no other operation feeds; boundary streams in files that store no pads.
        outputs: likewise.
        input_streams: what is sent to the chip.
        output_streams: what the chip sends.
    """

    name: str
    networks: tuple[str, ...]
    contexts: Mapping[str, int]
    bottleneck_fps: float | None
    inputs: tuple[HefTensor, ...]
    outputs: tuple[HefTensor, ...]
    input_streams: tuple[HefTensor, ...]
    output_streams: tuple[HefTensor, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        rows = [("network group", self.name)]
        rows += [("contexts", f"{count}" + _on(layout)) for layout, count in self.contexts.items()]
        if self.bottleneck_fps is not None:
            rows.append(("bottleneck", f"{self.bottleneck_fps:.6g} frames per second, estimated by the compiler"))
        rows += [("input", tensor.text()) for tensor in self.inputs]
        rows += [("output", tensor.text()) for tensor in self.outputs]
        rows += [("input stream", t.text()) for t in self.input_streams if t not in self.inputs]
        rows += [("output stream", t.text()) for t in self.output_streams if t not in self.outputs]
        return rows


def groups_of(path: Path, hef: Any) -> tuple[HefGroup, ...]:
    """The network groups of a parsed HEF.

    Raises:
        ModelError: a scale or a zero point is not finite, or their numbers differ.
    """
    return tuple(_group(path, group) for group in hef.network_groups)


def _group(path: Path, group: Any) -> HefGroup:
    cores = [op.core_op for op in group.ops if op.HasField("core_op")] or [group]
    programs = [program for core in cores for program in _programs(core)]
    contexts: dict[str, int] = {}
    for layout, program in programs:
        contexts[layout] = contexts.get(layout, 0) + len(program.contexts)
    sent, received = _streams(path, [program for _, program in programs])
    given, made = _pads(path, group)
    named = group.network_group_name or next((one.metadata.network_group_name for one in [group, *cores]), "")
    fps = [program.metadata.bottleneck_fps for program in (*cores, *(program for _, program in programs))]
    return HefGroup(
        name=printable(named) or "not named",
        networks=tuple(printable(name) for core in cores for name in core.networks_names),
        contexts=contexts,
        bottleneck_fps=next((value for value in fps if value and math.isfinite(value)), None),
        inputs=given or sent,
        outputs=made or received,
        input_streams=sent,
        output_streams=received,
    )


def _programs(core: Any) -> list[tuple[str, Any]]:
    """One program for all cluster layouts, or one for each, under the bitmap of its clusters."""
    if not core.partial:
        return [("all", core)]
    return [(f"{one.layout.partial_clusters_layout_bitmap:#x}", one.group) for one in core.partial]


def _on(layout: str) -> str:
    return "" if layout == "all" else f" on cluster layout {layout}"


def _streams(path: Path, programs: Iterable[Any]) -> tuple[tuple[HefTensor, ...], tuple[HefTensor, ...]]:
    """Boundary edge layers to the chip and from it, each name once: every layout's program has them anew."""
    sides: tuple[dict[str, HefTensor], dict[str, HefTensor]] = ({}, {})
    for program in programs:
        for context in program.contexts:
            for layer in context.metadata.edge_layers:
                if layer.context_switch_info.edge_connection_type == _BOUNDARY:
                    tensor = _stream(path, layer)
                    sides[layer.direction == _TO_HOST].setdefault(tensor.name, tensor)
    return tuple(sides[0].values()), tuple(sides[1].values())


def _stream(path: Path, layer: Any) -> HefTensor:
    if layer.HasField("layer_planes"):
        planes = layer.layer_planes
        return HefTensor(printable(planes.name), "?", "", _sizes(planes), (), ())
    info = layer.layer_mux if layer.HasField("layer_mux") else layer.layer_info
    kind = _WIDTHS.get(info.base.data_bytes, "?")
    scale, zero = _quantization(path, info) if layer.HasField("layer_info") else ((), ())
    return HefTensor(printable(info.name), kind, "", _sizes(info.base), scale, zero)


def _pads(path: Path, group: Any) -> tuple[tuple[HefTensor, ...], tuple[HefTensor, ...]]:
    """Pads that no edge joins to another operation: the inputs and the outputs of the group."""
    fed = {edge.dst for edge in group.pad_edges}
    read = {edge.src for edge in group.pad_edges}
    given = tuple(_pad(path, op, pad) for op in group.ops for pad in op.input_pads if pad.index not in fed)
    made = tuple(_pad(path, op, pad) for op in group.ops for pad in op.output_pads if pad.index not in read)
    return given, made


def _pad(path: Path, op: Any, pad: Any) -> HefTensor:
    order = ORDERS[pad.format_order] if 0 <= pad.format_order < len(ORDERS) else f"order {pad.format_order}"
    kind = TYPES[pad.format_type] if 0 <= pad.format_type < len(TYPES) else f"type {pad.format_type}"
    shape = _sizes(pad.tensor_shape)
    if pad.HasField("nms_shape"):
        shape = (pad.nms_shape.number_of_classes, pad.nms_shape.max_bboxes_per_class)
    scale, zero = _quantization(path, pad)
    return HefTensor(printable(pad.name or op.name) or "not named", kind, order, shape, scale, zero)


def _sizes(shape: Any) -> tuple[int, ...]:
    return (shape.height, shape.width, shape.features)


def _quantization(path: Path, holder: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scales and zero points; the vectors go before the single ones, which are their older form."""
    if not holder.HasField("numeric_info"):
        return (), ()
    numeric = holder.numeric_info
    scale = tuple(numeric.qp_scales) or (numeric.qp_scale,)
    zero = tuple(numeric.qp_zps) or (numeric.qp_zp,)
    if not any(scale):  # proto3 does not store zeros: this is what a scale that was never set reads as
        return (), ()
    name = printable(holder.name)
    if not all(map(math.isfinite, (*scale, *zero))):
        raise damaged(path, f"a scale or zero point of {name!r} is not finite")
    if len(zero) == 1:
        zero *= len(scale)
    if len(zero) != len(scale):
        raise damaged(path, f"{name!r} has {len(scale)} scales and {len(zero)} zero points")
    return scale, zero
