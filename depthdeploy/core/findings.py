"""What the quantizer found out about a network and did to it: the rows of the report's quantization chapter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One algorithm that was run.

    Attributes:
        step: the algorithm with its settings.
        seconds: wall-clock time.
        detail: what it did, in one phrase: layers changed, loss before and after, what was rolled back.
        degradations: what was asked and not done, such as epochs cut to fit a time budget; empty for none.
        device: ``cpu`` or the GPU's name, for algorithms that learn.
    """

    step: str
    seconds: float
    detail: str
    degradations: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What quantizing one layer costs, measured at the network's output over calibration photographs.

    Attributes:
        node: the layer.
        operator: its ONNX operator.
        sqnr_alone_db: SQNR of the network's output when this layer alone is quantized.
        cosine_alone: cosine similarity likewise.
        sqnr_accumulated_db: SQNR of the layer's own output when the whole network is quantized: what has gathered here.
        cosine_accumulated: cosine similarity likewise.
        macs: multiply-accumulate operations of the layer.
    """

    node: str
    operator: str
    sqnr_alone_db: float
    cosine_alone: float
    sqnr_accumulated_db: float
    cosine_accumulated: float
    macs: int


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One point of the mixed-precision search.

    Attributes:
        escaped: the nodes in the wider form.
        cost: estimated time relative to the network wholly in the scheme's own formats: 1.0 and above.
        sqnr_db: of the network's output over calibration photographs, mean over images.
        delta1: share of pixels within 1.25 of FP32, percent, mean over images.
        chosen: whether this is the plan that was taken.
    """

    escaped: tuple[str, ...]
    cost: float
    sqnr_db: float
    delta1: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a recipe found and did.

    Attributes:
        steps: in the order in which they ran.
        sensitivity: one row per layer, in the graph's order; empty when it was not asked for.
        pareto: from all-quantized to most escaped; empty without a mixed-precision search.
        escape: the wider form of the search, ``int16`` or ``fp32``; empty without one.
    """

    steps: tuple[StepRecord, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    pareto: tuple[ParetoPoint, ...] = ()
    escape: str = ""
