"""Options that several verbs share, and the request that they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from depthdeploy.core.depth import ColorOrder, DepthKind, Interpolation, Layout, ResizeRule
from depthdeploy.core.ends import TailRule, Taken
from depthdeploy.core.request import DEFAULT_MODEL, InputOptions, parse_fallback
from depthdeploy.core.support import Allowances
from depthdeploy.errors import UsageError

NETWORK = "Network"
PHOTOS = "Photographs"
QUANTIZATION = "Quantization"
GRAPH = "Graph"
FOREIGN = "Input of a foreign ONNX"
OUTPUT = "Output"
ENDS = "The network's ends on the chip"

Targets = Annotated[
    list[str],
    typer.Option("--target", "-t", help="Targets, with an optional variant: openvino,onnxruntime:cpu-avx2,hailo8."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help=f"A network; see depthdeploy models. Default: {DEFAULT_MODEL}.", rich_help_panel=NETWORK
    ),
]
Onnx = Annotated[Path | None, typer.Option("--onnx", help="A depth network of your own.", rich_help_panel=NETWORK)]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="The model's weights: a file or a folder.", rich_help_panel=NETWORK),
]
AcceptLicence = Annotated[
    str | None,
    typer.Option("--accept-licence", help="Consent to a licence by its SPDX identifier.", rich_help_panel=NETWORK),
]
Size = Annotated[str | None, typer.Option("--size", help="HEIGHTxWIDTH of the input.", rich_help_panel=NETWORK)]

Calib = Annotated[
    str,
    typer.Option("--calib", help="Calibration photographs; see depthdeploy calibrations.", rich_help_panel=PHOTOS),
]
CalibCount = Annotated[
    int | None,
    typer.Option(
        "--calib-count",
        help="How many. Default: two thirds, at most 256 or what the recipe needs.",
        rich_help_panel=PHOTOS,
    ),
]
Evaluations = Annotated[
    list[str],
    typer.Option(
        "--eval",
        help="Evaluation photographs; may be repeated. Default: the rest of --calib.",
        rich_help_panel=PHOTOS,
    ),
]
EvalCount = Annotated[
    int | None,
    typer.Option(
        "--eval-count",
        help="How many of each. Default: all, 64 where unlabelled ones are split.",
        rich_help_panel=PHOTOS,
    ),
]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Where named data sets lie.", rich_help_panel=PHOTOS)
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the sampling.", rich_help_panel=PHOTOS)]

Precision = Annotated[
    str,
    typer.Option("--precision", help="int8, int16, fp16 or fp32. Default: the target's.", rich_help_panel=QUANTIZATION),
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe", help="How: a name of depthdeploy recipes, or a .toml of your own.", rich_help_panel=QUANTIZATION
    ),
]
Observer = Annotated[
    str | None,
    typer.Option(
        "--observer",
        help="Other ranges than the recipe's: minmax, moving, percentile, percentile:99.99, entropy, mse.",
        rich_help_panel=QUANTIZATION,
    ),
]
AllowFew = Annotated[
    bool,
    typer.Option(
        "--allow-few-photographs",
        help="Calibrate with fewer than the recipe is meant for; the report says so.",
        rich_help_panel=QUANTIZATION,
    ),
]

Approximate = Annotated[
    list[str],
    typer.Option(
        "--approximate",
        help="Rewrite the graph into a cheaper one that computes almost the same, as in resize=asymmetric; the report "
        "tells the loss.",
        rich_help_panel=GRAPH,
    ),
]
AllowFallback = Annotated[
    str | None,
    typer.Option(
        "--allow-fallback",
        help="How much may run on the host's processor: a number of nodes, or a share of the MACs as in 2.5%.",
        rich_help_panel=GRAPH,
    ),
]

TakenInput = Annotated[
    Taken,
    typer.Option(
        "--input",
        help="What the artifact takes: the normalised float tensor, or a camera's uint8 pixels.",
        rich_help_panel=ENDS,
    ),
]
TakenLayout = Annotated[
    Layout | None,
    typer.Option(
        "--input-layout", help="Its dimension order. Default: the network's, nchw in the zoo.", rich_help_panel=ENDS
    ),
]
TakenColor = Annotated[
    ColorOrder | None,
    typer.Option(
        "--input-color", help="Its channel order. Default: the network's, rgb in the zoo.", rich_help_panel=ENDS
    ),
]
HostTail = Annotated[
    TailRule | None,
    typer.Option(
        "--host-tail",
        help="What the host computes at the network's end: nothing, formulas and reshapes, or the enlargement too. "
        "Default: the target's, none for most.",
        rich_help_panel=ENDS,
    ),
]
CutAt = Annotated[
    str | None,
    typer.Option("--cut-at", help="The last node or tensor of the accelerator.", rich_help_panel=ENDS),
]

OutputKind = Annotated[
    DepthKind | None, typer.Option("--output-kind", help="What the network predicts.", rich_help_panel=FOREIGN)
]
OutputName = Annotated[
    str | None, typer.Option("--output-name", help="Which output is the depth.", rich_help_panel=FOREIGN)
]
InputRange = Annotated[
    str | None,
    typer.Option(
        "--input-range", help="What pixels are scaled to before mean and std: 0..1 or 0..255.", rich_help_panel=FOREIGN
    ),
]
Mean = Annotated[str | None, typer.Option("--mean", help="Subtracted, per channel.", rich_help_panel=FOREIGN)]
Std = Annotated[str | None, typer.Option("--std", help="Divided by, per channel.", rich_help_panel=FOREIGN)]
Color = Annotated[ColorOrder | None, typer.Option("--color", help="Channel order.", rich_help_panel=FOREIGN)]
InputLayout = Annotated[Layout | None, typer.Option("--layout", help="Dimension order.", rich_help_panel=FOREIGN)]
Resizing = Annotated[
    ResizeRule | None, typer.Option("--resize", help="How the aspect ratio is handled.", rich_help_panel=FOREIGN)
]
Resampling = Annotated[
    Interpolation | None, typer.Option("--interpolation", help="How pixels are resampled.", rich_help_panel=FOREIGN)
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Where finished stages and downloads are stored.", rich_help_panel=OUTPUT),
]


def names(listed: list[str]) -> tuple[str, ...]:
    """Names that are repeated or separated by commas."""
    return tuple(name for part in listed for name in part.split(",") if name)


def allowances(approximate: list[str], allow_fallback: str | None) -> Allowances:
    """What is conceded of the graph.

    Raises:
        UsageError: the limit on what runs on the host has another form.
    """
    return Allowances(tuple(approximate), parse_fallback(allow_fallback) if allow_fallback else None)


def input_options(
    *,
    mean: str | None,
    std: str | None,
    input_range: str | None,
    color: ColorOrder | None,
    layout: Layout | None,
    resize: ResizeRule | None,
    interpolation: Interpolation | None,
) -> InputOptions:
    """What is said about a foreign network's input.

    Raises:
        UsageError: a mean, a deviation or a range has another form.
    """
    return InputOptions(
        mean=_three("--mean", mean),
        std=_three("--std", std),
        scale=_scale(input_range),
        color=color,
        layout=layout,
        resize=resize,
        interpolation=interpolation,
    )


def _three(option: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as cause:
        raise UsageError(f"{option} {text!r} is not three numbers.", f"Write {option} 0.485,0.456,0.406.") from cause
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise UsageError(f"{option} {text!r} has {len(values)} numbers.", f"Write {option} 0.485,0.456,0.406.")
    return values[0], values[1], values[2]


def _scale(text: str | None) -> float | None:
    ranges = {None: None, "0..1": 1.0, "0..255": 255.0}
    if text not in ranges:
        raise UsageError(f"--input-range {text!r} is not known.", "Give 0..1 or 0..255.")
    return ranges[text]
