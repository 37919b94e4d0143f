"""Rewrites for RKNN-Toolkit2, each for something that it otherwise leaves to the chip's processor."""

from depthdeploy.plugin import GraphPass
from depthdeploy.rewrites import GeluDecomposition, GeluRespelling, ResizeAsMatMul

#: GELU in one spelling is one operation on the NPU; in any other its ``Erf`` runs on the processor.
_EVERY: tuple[GraphPass, ...] = (GeluDecomposition(), GeluRespelling())

#: Linear interpolation runs on the NPU by whole factors alone; by others it becomes products, which are convolutions
#: and transposes there. On RK3566 and RK3568 the transposes would run on the processor, so that nothing is won; on
#: RK3562 every factor runs on the NPU. The longest side is that of the largest published input sizes.
_RESIZING: tuple[GraphPass, ...] = (*_EVERY, ResizeAsMatMul(largest=1024, interpolations=("linear",), spare_whole=True))

_BY_VARIANT = {"rk3576": _RESIZING, "rk3588": _RESIZING}


def passes(variant: str) -> tuple[GraphPass, ...]:
    """The rewrites of one chip."""
    return _BY_VARIANT.get(variant, _EVERY)
