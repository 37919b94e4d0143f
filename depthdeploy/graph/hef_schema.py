"""The part of a HEF's protobuf that a summary needs.

Names and numbers of fields are those of HailoRT's ``libhailort/hef.proto`` (github.com/hailo-ai/hailort, MIT). Fields
not named here are skipped by protobuf, as are those of versions to come. Enumerations are read as integers: a number
that has no name here is shown as a number.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

_PACKAGE = "depthdeploy.hef"

#: message -> field -> (number, type); a type in brackets is repeated, one with a capital is a message.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Hef": {
        "header": (1, "Header"),
        "network_groups": (2, "[NetworkGroup]"),
        "extensions": (5, "[Extension]"),
        "optional_extensions": (6, "[Extension]"),
        "external_resources": (7, "[ExternalResource]"),
    },
    "Header": {"hw_arch": (1, "int32"), "sdk_version_str": (3, "string")},
    "Extension": {"type_index": (1, "uint32"), "name": (2, "string")},
    "ExternalResource": {"size": (2, "uint64"), "name": (3, "string")},
    "NetworkGroup": {
        "metadata": (1, "Metadata"),
        "contexts": (3, "[Context]"),
        "networks_names": (6, "[string]"),
        "partial": (7, "[PartialGroup]"),
        "ops": (8, "[Op]"),
        "pad_edges": (9, "[PadEdge]"),
        "network_group_name": (10, "string"),
    },
    "PartialGroup": {"group": (1, "NetworkGroup"), "layout": (2, "Layout")},
    "PartialCoreOp": {"group": (1, "CoreOp"), "layout": (2, "Layout")},
    "Layout": {"partial_clusters_layout_bitmap": (1, "uint32")},
    "Metadata": {"network_group_name": (1, "string"), "bottleneck_fps": (4, "double")},
    "CoreOp": {
        "metadata": (1, "Metadata"),
        "contexts": (3, "[Context]"),
        "networks_names": (6, "[string]"),
        "partial": (7, "[PartialCoreOp]"),
    },
    "Op": {
        "name": (1, "string"),
        "input_pads": (2, "[Pad]"),
        "output_pads": (3, "[Pad]"),
        "core_op": (4, "CoreOp"),
    },
    "PadEdge": {"src": (1, "uint32"), "dst": (2, "uint32")},
    "Pad": {
        "index": (1, "uint32"),
        "name": (2, "string"),
        "format_order": (3, "int32"),
        "numeric_info": (5, "NumericInfo"),
        "tensor_shape": (6, "Shape"),
        "nms_shape": (7, "NmsShape"),
        "format_type": (8, "int32"),
    },
    "Shape": {"height": (1, "uint32"), "width": (3, "uint32"), "features": (5, "uint32")},
    "NmsShape": {"number_of_classes": (1, "uint32"), "max_bboxes_per_class": (2, "uint32")},
    "Context": {"context_index": (1, "uint32"), "metadata": (3, "ContextMetadata")},
    "ContextMetadata": {"edge_layers": (2, "[EdgeLayer]")},
    "EdgeLayer": {
        "direction": (1, "int32"),
        "layer_info": (3, "LayerInfo"),
        "layer_mux": (4, "LayerMux"),
        "context_switch_info": (5, "ContextSwitch"),
        "layer_planes": (8, "Planes"),
    },
    "ContextSwitch": {"edge_connection_type": (3, "int32")},
    "LayerInfo": {"name": (1, "string"), "base": (2, "LayerBase"), "numeric_info": (3, "NumericInfo")},
    "LayerMux": {"name": (1, "string"), "base": (2, "LayerBase")},
    "Planes": {"name": (1, "string"), "height": (4, "uint32"), "width": (5, "uint32"), "features": (6, "uint32")},
    "LayerBase": {
        "height": (1, "uint32"),
        "width": (3, "uint32"),
        "features": (5, "uint32"),
        "data_bytes": (12, "uint32"),
    },
    "NumericInfo": {
        "qp_zp": (1, "float"),
        "qp_scale": (2, "float"),
        "qp_zps": (5, "[double]"),
        "qp_scales": (6, "[double]"),
    },
}

#: ``ProtoHEFHwArch``.
ARCHITECTURES = {
    0: "HAILO8", 1: "HAILO8P", 2: "HAILO8R", 3: "HAILO8L", 4: "HAILO15M", 5: "HAILO10H", 6: "HAILO15L",
    100: "SAGE_A0", 101: "SAGE_B0", 102: "PAPRIKA_B0", 103: "HAILO1XH", 104: "GINGER", 105: "LAVENDER", 106: "PLUTO",
    108: "MARS",
}  # fmt: skip

#: The chips that HailoRT lets a file run on, by its architecture.
RUNS_ON = {
    **dict.fromkeys((0, 1, 2, 101, 102), ("HAILO8",)),
    3: ("HAILO8L", "HAILO8"),
    **dict.fromkeys((103, 104, 105), ("HAILO15H", "HAILO10H")),
    4: ("HAILO15M", "HAILO15H", "HAILO10H"),
    **dict.fromkeys((6, 106), ("HAILO15L",)),
    108: ("HAILO12L",),
    100: ("HAILO8_A0",),
}

#: ``ProtoHEFFormatOrder``.
ORDERS = (
    "AUTO", "NHWC", "NHCW", "FCR", "F8CR", "NHW", "NC", "BAYER_RGB", "12_BIT_BAYER_RGB", "HAILO_NMS", "RGB888", "NCHW",
    "YUY2", "NV12", "NV21", "HAILO_YYUV", "HAILO_YYVU",
)  # fmt: skip

#: ``ProtoHEFFormatType``.
TYPES = ("AUTO", "UINT8", "UINT16")

_SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
}


@cache
def hef_class() -> Any:
    """The message class of the whole protobuf; protobuf makes it, so it has no static type."""
    file = descriptor_pb2.FileDescriptorProto(name="depthdeploy/hef.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            _add_field(described, name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Hef"))


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number)
    repeated = kind.startswith("[")
    kind = kind.strip("[]")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
