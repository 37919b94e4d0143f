"""Figures with everything that is needed to trust them: on what, aligned how, run where, against what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

#: Metrics of which a larger value is better; of all others a smaller one is.
HIGHER_IS_BETTER = frozenset({"accuracy", "cosine", "delta1", "delta2", "delta3", "sqnr_db"})


class MetricKind(Enum):
    """Which question a figure answers; two kinds never share a column."""

    FIDELITY = "fidelity"
    """How close is the candidate to the FP32 network it came from?"""
    DENSE = "dense"
    """How right is it against measured depth?"""
    ORDINAL = "ordinal"
    """How often is the annotated closer point predicted closer?"""


class Evidence(Enum):
    """How a figure came about; it never changes silently."""

    REFERENCE = "float reference"
    APPROXIMATED = "float, approximated"
    EMULATED = "emulated"
    SIMULATED = "simulated by the vendor's tool"
    MEASURED = "measured on this machine"


@dataclass(frozen=True, slots=True)
class ImageScore:
    """The metrics of one photograph.

    Attributes:
        photo: its id.
        stratum: its scene type, empty when there is none.
        values: metric -> value.
        weight: valid pixels (dense, fidelity) or pairs (ordinal) behind the values.
    """

    photo: str
    stratum: str
    values: Mapping[str, float]
    weight: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """One metric over the photographs: mean over images, median, worst twentieth, worst images by name."""

    mean: float
    median: float
    p5: float
    worst: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, scores: Mapping[str, float], *, higher_is_better: bool, keep: int = 5) -> Distribution:
        """From photo -> value. ``p5`` is the 5th percentile from the bad end.

        Raises:
            ValueError: there is no value.
        """
        if not scores:
            raise ValueError("no photograph was scored")
        values = np.array(list(scores.values()), dtype=np.float64)
        ordered = sorted(scores.items(), key=lambda item: item[1], reverse=not higher_is_better)
        bad_end = 5 if higher_is_better else 95
        return cls(
            mean=float(values.mean()),
            median=float(np.median(values)),
            p5=float(np.percentile(values, bad_end)),
            worst=tuple(ordered[:keep]),
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of one candidate on one set, of one kind.

    Attributes:
        kind: fidelity, dense or ordinal.
        dataset: the set's name.
        candidate: ``fp32``, ``emulated int8``, ``openvino cpu-vnni int8``.
        ran_on: the runtime and device, with version.
        evidence: reference, emulated, simulated or measured.
        reference: what it was compared with: ``FP32 ONNX Runtime``, ``measured depth``, ``annotated pairs``.
        alignment: what was fitted per image.
        resize: how the photograph became the input and the prediction was compared, in words.
        images: how many photographs.
        weight: valid pixels or pairs in all.
        metrics: metric -> distribution over images.
        totals: figures that are not means over images (pairs right, ties, Wilson bounds).
        per_image: the scores of every photograph.
        strata: stratum -> the same figures as ``totals`` over its photographs alone; empty without strata.
    """

    kind: MetricKind
    dataset: str
    candidate: str
    ran_on: str
    evidence: Evidence
    reference: str
    alignment: str
    resize: str
    images: int
    weight: int
    metrics: Mapping[str, Distribution]
    totals: Mapping[str, float]
    per_image: tuple[ImageScore, ...]
    strata: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Latency:
    """Time per inference of one runtime on one machine, milliseconds.

    Attributes:
        median_ms: over ``runs`` runs after ``warmup``.
        p95_ms: 95th percentile.
        runs: counted runs.
        warmup: runs before them.
        threads: threads that the runtime was given.
        ran_on: runtime, version, processor.
    """

    median_ms: float
    p95_ms: float
    runs: int
    warmup: int
    threads: int
    ran_on: str
