"""Rewrites for Hailo's Dataflow Compiler."""

from depthdeploy.plugin import GraphPass
from depthdeploy.rewrites import GeluDecomposition, GeluRespelling, ResizeExplicit, ResizeStages

#: A half-pixel resize by 30 exceeds the microcode of one layer (hailo8l); by 15, one of two stages, it fits.
_LARGEST_FACTOR = 15

#: The compiler's parser reads a rule of coordinates that is left out as ``half_pixel``; it knows GELU by one spelling.
PASSES: tuple[GraphPass, ...] = (
    GeluDecomposition(),
    GeluRespelling(),
    ResizeExplicit(),
    ResizeStages(max_factor=_LARGEST_FACTOR),
)


def passes(variant: str) -> tuple[GraphPass, ...]:
    """The rewrites of every chip."""
    return PASSES
