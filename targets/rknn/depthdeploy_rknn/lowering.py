"""Rewrites for RKNN-Toolkit2, each for something that it otherwise leaves to the chip's processor."""

from depthdeploy.plugin import GraphPass
from depthdeploy.rewrites import GeluDecomposition, GeluRespelling, ResizeAsMatMul

#: GELU in one spelling is one operation on the NPU; in any other its ``Erf`` runs on the processor.
_EVERY: tuple[GraphPass, ...] = (GeluDecomposition(), GeluRespelling())

#: The longest side of a map that is still resized by products: that of the largest published input sizes.
_LARGEST = 1024

#: RK3588 turns at most 16 KiB at once: `Transpose will fallback to CPU, ... required product no larger than 16384`.
_TURNED = 16384


def _resizing(plane: int | None) -> tuple[GraphPass, ...]:
    """Linear interpolation by factors that are not whole, which the NPU lacks, as products, which are convolutions."""
    return (
        *_EVERY,
        ResizeAsMatMul(largest=_LARGEST, interpolations=("linear",), spare_whole=True, largest_plane=plane),
    )


#: On RK3566 and RK3568 the products' transposes would run on the processor: nothing is won.
_BY_VARIANT = {"rk3562": _resizing(None), "rk3576": _resizing(None), "rk3588": _resizing(_TURNED)}


def passes(variant: str) -> tuple[GraphPass, ...]:
    """The rewrites of one chip."""
    return _BY_VARIANT.get(variant, _EVERY)
