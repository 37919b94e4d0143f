"""Rewrites for TensorRT: what its older parsers do not know by name."""

from depthdeploy.plugin import GraphPass
from depthdeploy.rewrites import LayerNormDecomposition, RmsNormDecomposition

#: Before TensorRT 8.6 there is no layer for these normalisations; their parts run in float16, which their sums of
#: squares overflow unless they are scaled.
_OLD: tuple[GraphPass, ...] = (RmsNormDecomposition(guard_fp16=True), LayerNormDecomposition(guard_fp16=True))

_WITHOUT_LAYER_NORM = frozenset({"jetson-nano", "xavier"})


def passes(variant: str) -> tuple[GraphPass, ...]:
    """The rewrites of one module: none from TensorRT 10 on, so that calibration is shared with the CPU targets."""
    return _OLD if variant in _WITHOUT_LAYER_NORM else ()
