"""What authors of targets, models and data sets import: types, errors, and the few tools they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depthdeploy.core.capabilities import load_capabilities
from depthdeploy.core.card import load_card
from depthdeploy.core.depth import (
    Alignment,
    ColorOrder,
    DepthContract,
    DepthKind,
    InputContract,
    InputForm,
    Interpolation,
    Layout,
    ResizeRule,
)
from depthdeploy.core.digest import canonical_json, digest_of, sha256_bytes, sha256_file
from depthdeploy.core.ends import TailRule
from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.host_tail import HostStep, HostTail
from depthdeploy.core.machine import cpu_flags, cpu_name, variant_for_this_cpu
from depthdeploy.core.model import (
    Licence,
    ModelCard,
    NetworkPlugin,
    PublishedMetric,
    WeightsFormat,
    WeightsSource,
)
from depthdeploy.core.performance import Performance
from depthdeploy.core.performance_file import load_performance
from depthdeploy.core.photos import DatasetPlugin, DepthRange, Photo, PhotoSet, PointPair
from depthdeploy.core.preprocessing import Preprocessing, preprocessing_of
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.support import OpRule
from depthdeploy.core.target import Capabilities, GraphPass, Target, Variant
from depthdeploy.errors import (
    CalibrationError,
    DepthdeployError,
    ModelError,
    ToolchainFailed,
    ToolchainMissing,
    UnsupportedGraph,
    UsageError,
)
from depthdeploy.light_half import PackagedTarget

if TYPE_CHECKING:
    from depthdeploy.imaging.decode import decode_image, photograph_size

__all__ = [
    "Alignment",
    "CalibrationError",
    "Capabilities",
    "ColorOrder",
    "DatasetPlugin",
    "DepthContract",
    "DepthKind",
    "DepthRange",
    "DepthdeployError",
    "Granularity",
    "GraphPass",
    "HostStep",
    "HostTail",
    "InputContract",
    "InputForm",
    "Interpolation",
    "Layout",
    "Licence",
    "ModelCard",
    "ModelError",
    "NetworkPlugin",
    "NumberFormat",
    "OpRule",
    "PackagedTarget",
    "Performance",
    "Photo",
    "PhotoSet",
    "PointPair",
    "Preprocessing",
    "PublishedMetric",
    "ResizeRule",
    "Scheme",
    "TailRule",
    "Target",
    "ToolchainFailed",
    "ToolchainMissing",
    "UnsupportedGraph",
    "UsageError",
    "Variant",
    "WeightsFormat",
    "WeightsSource",
    "canonical_json",
    "cpu_flags",
    "cpu_name",
    "decode_image",
    "digest_of",
    "load_capabilities",
    "load_card",
    "load_performance",
    "photograph_size",
    "preprocessing_of",
    "sha256_bytes",
    "sha256_file",
    "variant_for_this_cpu",
]


def __getattr__(name: str) -> object:
    if name in ("decode_image", "photograph_size"):  # need Pillow, which vendor images lack: imported when asked for
        from depthdeploy.imaging import decode

        return getattr(decode, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
