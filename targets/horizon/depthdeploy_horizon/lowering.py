"""Rewrites for Horizon's toolchains."""

from depthdeploy.plugin import GraphPass
from depthdeploy.rewrites import (
    InstanceNormDecomposition,
    LayerNormDecomposition,
    ResizeExplicit,
    SoftmaxAxisLast,
)

#: The mapper of RDK X5 knows opset 11: no layer normalisation, and instance normalisation on the processor alone.
#: Softmax runs on its BPU along the last of four dimensions.
_X5: tuple[GraphPass, ...] = (
    LayerNormDecomposition(),
    InstanceNormDecomposition(),
    SoftmaxAxisLast(),
    ResizeExplicit(),
)

_NASH: tuple[GraphPass, ...] = (InstanceNormDecomposition(), ResizeExplicit())


def passes(variant: str) -> tuple[GraphPass, ...]:
    """The rewrites of one board."""
    return _X5 if variant == "rdk-x5" else _NASH
