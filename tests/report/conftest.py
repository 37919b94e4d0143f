"""A small report with every kind of figure, and a gallery of made maps."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract, InputForm, Layout
from depthdeploy.core.findings import Findings, ParetoPoint, Sensitivity, StepRecord
from depthdeploy.core.gallery import GalleryItem
from depthdeploy.core.host_tail import HostStep, HostTail
from depthdeploy.core.metrics import Distribution, Evaluation, Evidence, ImageScore, Latency, MetricKind
from depthdeploy.core.report import (
    REPORT_SCHEMA,
    InterfaceRecord,
    KernelCheck,
    LegalizationRecord,
    NetworkRecord,
    QuantizationRecord,
    Report,
    SelectionRecord,
    StageRecord,
)
from depthdeploy.core.tensor import TensorSpec

FP32 = ("fp32", "onnxruntime 1.31.1 CPU", Evidence.REFERENCE)
EMULATED = ("emulated int8", "onnxruntime 1.31.1 CPU", Evidence.EMULATED)
ARTIFACT = ("openvino cpu-vnni int8", "openvino 2026.0 CPU", Evidence.MEASURED)


def evaluation(
    kind: MetricKind,
    candidate: tuple[str, str, Evidence],
    means: Mapping[str, float],
    totals: Mapping[str, float] | None = None,
    strata: Mapping[str, Mapping[str, float]] | None = None,
) -> Evaluation:
    photos = ("indoor/a|b.jpg", "outdoor/street.jpg")
    return Evaluation(
        kind=kind,
        dataset="da2k",
        candidate=candidate[0],
        ran_on=candidate[1],
        evidence=candidate[2],
        reference="fp32 (onnxruntime 1.31.1 CPU)" if kind is MetricKind.FIDELITY else "the set's own labels",
        alignment="median",
        resize="squashed to 256x256, bicubic (Pillow, antialiased)",
        images=2,
        weight=131072,
        metrics={
            name: Distribution(mean, mean, mean - 1, ((photos[1], mean - 1), (photos[0], mean + 1)))
            for name, mean in means.items()
        },
        totals=totals or {},
        per_image=tuple(ImageScore(photo, photo.split("/")[0], dict(means), 65536) for photo in photos),
        strata=strata or {},
    )


def pairs(accuracy: float, ties: float) -> dict[str, float]:
    return {
        "accuracy": accuracy,
        "wilson_low": accuracy - 2,
        "wilson_high": accuracy + 2,
        "pairs": 200.0,
        "right": accuracy * 2,
        "ties": ties,
        "outside": 0.0,
    }


def all_evaluations() -> tuple[Evaluation, ...]:
    fidelity = {"sqnr_db": 30.125, "cosine": 0.99951, "delta1": 99.5, "abs_rel": 0.03125, "rmse": 12.5, "max_abs": 40.0}
    dense = {"delta1": 94.25, "abs_rel": 0.0625, "rmse": 0.5, "silog": 9.5, "mae": 0.25}
    strata = {"indoor": pairs(97.0, 0), "outdoor": pairs(93.0, 4)}
    return (
        evaluation(MetricKind.FIDELITY, EMULATED, fidelity, {"max_abs": 41.0}),
        evaluation(MetricKind.FIDELITY, ARTIFACT, {**fidelity, "sqnr_db": 29.25}, {"max_abs": 43.0}),
        *(evaluation(MetricKind.DENSE, one, dense) for one in (FP32, EMULATED, ARTIFACT)),
        *(
            evaluation(MetricKind.ORDINAL, one, {"accuracy": 95.0}, pairs(95.0, 4), strata)
            for one in (FP32, EMULATED, ARTIFACT)
        ),
    )


def all_findings() -> Findings:
    """Twelve layers, of which the third is the worst, and a search that took its second point."""
    alone = (55.5, 48.25, 31.5, 62.0, 44.75, 58.0, 39.25, 70.0, 51.5, 66.0, 47.0, 150.0)
    rows = tuple(
        Sensitivity(
            f"/layer{index}/Conv", "Conv", sqnr, 1 - 10 ** (-sqnr / 10), 45.0 - 1.25 * index, 0.9995, 1_000_000 * index
        )
        for index, sqnr in enumerate(alone)
    )
    steps = (
        StepRecord("equalize", 1.25, "34 pairs of layers equalized"),
        StepRecord("mixed-precision(sqnr_db=33.0)", 41.5, "1 node in fp32", ("not aimed at ordinal=1",)),
        StepRecord("adaround", 300.0, "96 layers", (), "NVIDIA H200"),
    )
    pareto = (
        ParetoPoint((), 1.0, 30.5, 99.25, chosen=False),
        ParetoPoint(("/layer2/Conv",), 1.125, 34.25, 99.75, chosen=True),
        ParetoPoint(("/layer2/Conv", "/layer6/Conv", "/layer4/Conv"), 1.5, 41.5, 99.875, chosen=False),
    )
    return Findings(steps, rows, pareto, "fp32")


def _interface(contract: InputContract) -> InterfaceRecord:
    """A camera's bytes go in, the host enlarges what comes out."""
    small, large = TensorSpec("small", "float32", (1, 1, 128, 128)), TensorSpec("depth", "float32", (1, 1, 256, 256))
    step = HostStep("depth", "Resize", "mode linear, 1x1x128x128 -> 1x1x256x256")
    tail = HostTail("tail.onnx", "d" * 64, small, large, (step,))
    return InterfaceRecord(
        input_tensor=TensorSpec("image", "uint8", (1, 256, 256, 3)),
        input=replace(contract, form=InputForm.UINT8, layout=Layout.NHWC),
        output_tensor=small,
        output=DepthContract(DepthKind.INVERSE_DEPTH, tail=tail),
    )


@pytest.fixture
def report() -> Report:
    contract = InputContract(256, 256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), multiple=32)
    return Report(
        schema=REPORT_SCHEMA,
        version="0.1.0",
        command="depthdeploy compile --target openvino --calib da2k",
        network=NetworkRecord(
            name="MiDaS v2.1 Small",
            source="midas-v21-small",
            licence="MIT",
            weights_sha256="a" * 64,
            onnx_sha256="b" * 64,
            opset=17,
            parameters=16_600_000,
            macs=3_500_000_000,
            input=contract,
            output=DepthContract(DepthKind.INVERSE_DEPTH),
            parity="largest difference 1.2e-4 of the range on 8 photographs",
        ),
        target="openvino",
        variant="cpu-vnni",
        quantization=QuantizationRecord(
            precision="int8",
            scheme="openvino-cpu",
            weights_format="int8 symmetric per channel",
            activations_format="uint8 asymmetric per tensor",
            observer="minmax",
            activations=120,
            weights=90,
            kept_float=("/out/Resize",),
            recipe="fast",
            findings=all_findings(),
        ),
        selections=(
            SelectionRecord(
                "da2k", "calibration", 64, 1033, 0, "c" * 64, {"indoor": 30, "outdoor": 34}, ("a.jpg",), ()
            ),
            SelectionRecord("da2k", "evaluation", 2, 1033, 0, "d" * 64, {}, ("b.jpg",), ("15 of 1,033 images",)),
        ),
        evaluations=all_evaluations(),
        kernels=KernelCheck(30.125, 29.25, 0.875),
        fp32_bytes=66_400_000,
        artifact_bytes=16_600_000,
        fp32_latency=Latency(24.0, 27.5, 100, 10, 2, "onnxruntime 1.31.1 CPU"),
        artifact_latency=Latency(8.0, 9.5, 100, 10, 2, "openvino 2026.0 CPU"),
        operators={"int8": 118, "fp32": 3},
        stages=(
            StageRecord("export", 12.25, False, 66_400_000, "1,234 nodes"),
            StageRecord("calibrate", 3.5, True, None, "64 photographs"),
        ),
        degradations=("Resize stays in float: --allow-float Resize",),
        files={"model.xml": "e" * 64, "model.bin": "f" * 64},
        versions={"openvino": "2026.0", "numpy": "2.4.6"},
        machine="x86-64, avx512_vnni",
        remarks=("2 pairs lie where the photograph is cut off.",),
        interface=_interface(contract),
        legalization=LegalizationRecord(
            nodes=190,
            rewrites=("resize-explicit", "layer-norm-decomposition"),
            approximations=("resize=asymmetric",),
            opset=13,
            host="the CPU of the board",
            fallback_nodes=1,
            fallback_macs=0.0125,
            fallbacks=("/out/Erf (Erf): the accelerator has no such operation, found one. Use Tanh.",),
            uncertain_nodes=12,
            slow=("/up/Resize (Resize): scales are whole numbers, found 2.016. Use half_pixel.",),
        ),
    )


def item(
    photo: str = "indoor/a.jpg", size: tuple[int, int] = (60, 80), *, nearer_is_larger: bool = True
) -> GalleryItem:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
    reference = rows + columns / 10
    candidate = reference + np.float32(0.5) * np.sin(columns)
    candidate[:5] = np.nan
    return GalleryItem(
        photo, image, {"fp32": reference, "int8": candidate.astype(np.float32)}, nearer_is_larger, "", "the worst"
    )


@pytest.fixture
def gallery() -> tuple[GalleryItem, ...]:
    return (item(), item("../très/ löng|<name>.png", (90, 60), nearer_is_larger=False))
