"""A target's number formats as data."""

from dataclasses import dataclass

from depthdeploy.core.grid import NumberFormat


@dataclass(frozen=True, slots=True)
class Scheme:
    """A target's number formats and where it wants them.

    Attributes:
        name: printed in reports.
        weights: format of convolution and matrix weights.
        activations: format of activations.
        operators: operators that run on integers: their inputs, and outputs unless a float one is better, get Q/DQ.
        quantize_output: whether the graph's output is quantized too (256 levels of depth; many NPUs insist).
        source: where the formats are documented.
    """

    name: str
    weights: NumberFormat
    activations: NumberFormat
    operators: frozenset[str]
    quantize_output: bool = False
    source: str = ""
