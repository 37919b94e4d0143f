"""How fast a chip is, as data: published peaks, and constants fitted to published times. Read by the estimate.

One multiply-accumulate operation counts as two operations everywhere, as vendors count them in TOPS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class OperatorClass(Enum):
    """Operators that keep a chip busy in the same way."""

    CONV = "conv"
    """Convolutions that mix channels; transposed ones too."""
    DEPTHWISE = "depthwise"
    """Convolutions of one channel each: few operations for every value that is moved."""
    MATMUL = "matmul"
    """Matrix products and fully connected layers."""
    ELEMENTWISE = "elementwise"
    RESIZE = "resize"
    NORMALIZE = "normalize"
    """Softmax, layer normalisation, reductions and pooling over whole maps."""
    MOVE = "move"
    """Transpositions, concatenations, slices: nothing is computed."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """A number and where it comes from.

    Attributes:
        value: in the unit that the field's name says.
        source: the publication, or how the number was derived.
        uncertain: whether the source is second-hand, contradicted, or a derivation of ours.
    """

    value: float
    source: str
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a chip computes in one precision.

    Attributes:
        tops: 10^12 operations per second, without sparsity.
        activation_bytes: of one activation.
        weight_bytes: of one weight.
    """

    tops: Sourced
    activation_bytes: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Residence:
    """A chip that lays a whole network out in itself, and loads it piece by piece when it is too large.

    Attributes:
        mib: weights, and the rows of activations that every layer holds back, which fit at once.
        layers: how many fit at once.
        reload_us_per_layer: to set up every layer of a network that does not fit, again for every inference.
    """

    mib: Sourced
    layers: Sourced
    reload_us_per_layer: Sourced


@dataclass(frozen=True, slots=True)
class SlowRule:
    """A condition under which an operator runs on a slower unit.

    Attributes:
        operator: the ONNX operator.
        attributes: attribute -> values that bring the rule into force; all must match.
        efficiency: the share of the precision's peak that is left.
        reason: what the user reads.
        source: where the vendor documents it.
        uncertain: whether the source is second-hand or old.
    """

    operator: str
    attributes: Mapping[str, tuple[str, ...]]
    efficiency: float
    reason: str
    source: str
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Constants:
    """What no data sheet says, fitted to published times of other networks; see ``docs/latency-estimates.md``.

    Attributes:
        family: chips that share these constants, such as ``hailo`` or ``intel-npu``.
        efficiency: operator class -> share of the peak that is reached.
        memory_efficiency: share of the published bandwidth that is reached.
        overhead_ms: time of an inference that computes nothing.
        layer_overhead_us: time of every layer beside its work.
        error: factor within which the left-out figures were predicted: estimates are ``x`` or ``/`` this.
        borrowed: operator class -> factor of doubt, for constants that no figure of the family settles.
        calibrated_on: the figures, in words.
    """

    family: str
    efficiency: Mapping[OperatorClass, float]
    memory_efficiency: float
    overhead_ms: float
    layer_overhead_us: float
    error: float
    borrowed: Mapping[OperatorClass, float]
    calibrated_on: str


@dataclass(frozen=True, slots=True)
class Performance:
    """The speed of one variant of a target.

    Attributes:
        target: name on the command line.
        variant: after the colon in ``--target hailo:hailo8``.
        title: the chip, for reports.
        predicts: what the estimate is a time of: ``latency``, or ``frame interval`` where a pipeline overlaps frames.
        peaks: precision -> peak; the estimate refuses any other.
        bandwidth_gb_per_s: of the memory outside the chip.
        on_chip_mib: activations that fit here never reach that memory.
        constants: fitted shares of those.
        fused: operators that cost no memory traffic behind a layer with a single reader.
        granule: channels that the array takes at once; others are rounded up to it.
        in_use: share of the chip that one inference gets, such as 4 of 6 tiles.
        pipelined: whether every layer has its own part of the chip: overheads then overlap the work.
        residence: for chips that hold whole networks.
        rules: slower units.
        doubt: factor that widens the interval where no figure of this very chip was published; 1.0 otherwise.
    """

    target: str
    variant: str
    title: str
    predicts: str
    peaks: Mapping[str, Peak]
    bandwidth_gb_per_s: Sourced
    on_chip_mib: Sourced
    constants: Constants
    fused: frozenset[str]
    granule: Sourced
    in_use: Sourced
    pipelined: bool = False
    residence: Residence | None = None
    rules: tuple[SlowRule, ...] = field(default=())
    doubt: float = 1.0

    def uncertain(self, precision: str) -> tuple[str, ...]:
        """The uncertain figures behind an estimate in this precision, each with its source."""
        figures = {
            f"peak in {precision}": self.peaks[precision].tops,
            "memory bandwidth": self.bandwidth_gb_per_s,
            "on-chip memory": self.on_chip_mib,
            "share in use": self.in_use,
            "channel granule": self.granule,
        }
        return tuple(f"{name}: {figure.source}" for name, figure in figures.items() if figure.uncertain)
