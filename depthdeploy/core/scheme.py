"""A target's number formats as data."""

from dataclasses import dataclass

from depthdeploy.core.grid import NumberFormat


@dataclass(frozen=True, slots=True)
class Escape:
    """A wider form in which a target can run a node that its scheme would harm.

    Attributes:
        name: ``int16``, ``fp16`` or ``fp32``: the precision as the target's vendor calls it.
        activations: the format of the node's input and output tensors; ``None`` for a node that stays float.
        cost: time of one multiply-accumulate relative to the scheme's own, above 1.
        source: where the cost comes from.
    """

    name: str
    activations: NumberFormat | None
    cost: float
    source: str

    def __post_init__(self) -> None:
        if not self.cost > 1:
            raise ValueError(f"an escape costs more than the scheme it leaves, got {self.cost}")


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
        escapes: wider forms for single nodes, the cheapest first; empty when the target has none.
    """

    name: str
    weights: NumberFormat
    activations: NumberFormat
    operators: frozenset[str]
    quantize_output: bool = False
    source: str = ""
    escapes: tuple[Escape, ...] = ()
