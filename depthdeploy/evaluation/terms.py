"""Under which terms figures were made, in words: reports print them beside every table."""

from __future__ import annotations

from depthdeploy.core.depth import Alignment, DepthContract, InputContract
from depthdeploy.core.fidelity import fidelity_alignment
from depthdeploy.core.metrics import Evidence, MetricKind
from depthdeploy.core.photos import DepthRange, PhotoSet
from depthdeploy.evaluation.tally import Terms
from depthdeploy.imaging.preprocess import describe


def terms(
    kind: MetricKind,
    *,
    photoset: PhotoSet,
    depth: DepthContract,
    contract: InputContract,
    candidate: tuple[str, str, Evidence],
    reference: str,
) -> Terms:
    """The terms of one candidate's figures of one kind.

    Args:
        kind: which figures.
        photoset: the data set.
        depth: what predictions mean.
        contract: how photographs became inputs.
        candidate: its name, where it ran, and its evidence.
        reference: the FP32 network, named as it is in reports.
    """
    name, ran_on, evidence = candidate
    against = {
        MetricKind.FIDELITY: reference,
        MetricKind.DENSE: "measured depth",
        MetricKind.ORDINAL: "annotated pairs",
    }[kind]
    alignment = {
        MetricKind.FIDELITY: _fidelity_words(fidelity_alignment(depth.kind)),
        MetricKind.DENSE: _dense_words(depth.alignment, photoset.depth_range),
        MetricKind.ORDINAL: "none: the order alone counts, a tie is wrong",
    }[kind]
    compared = {
        MetricKind.FIDELITY: f"compared at the network's {contract.height}x{contract.width}",
        MetricKind.DENSE: "prediction brought to the photograph's size bilinearly",
        MetricKind.ORDINAL: "prediction sampled bilinearly at the photograph's own points",
    }[kind]
    return Terms(kind, photoset.name, name, ran_on, evidence, against, alignment, f"{describe(contract)}; {compared}")


def _fidelity_words(alignment: Alignment) -> str:
    if alignment is Alignment.NONE:
        return "none; delta, abs_rel and rmse over the pixels where the reference is positive"
    return (
        "median: delta, abs_rel and rmse after one scale per image, over the pixels where the reference is positive; "
        "sqnr_db, cosine and max_abs without alignment over all pixels"
    )


def _dense_words(alignment: Alignment, limits: DepthRange | None) -> str:
    fitted = {
        Alignment.NONE: "none: metres against metres",
        Alignment.MEDIAN: "median: one scale per image",
        Alignment.AFFINE: "affine: least-squares scale and shift per image in inverse depth",
    }[alignment]
    if limits is None:
        return fitted
    crop = "" if limits.crop == "none" else f", crop {limits.crop}"
    return f"{fitted}; clipped to {limits.near:g} to {limits.far:g} m{crop}"
