"""``depthdeploy compile``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import typer

from depthdeploy import api
from depthdeploy.cli import options
from depthdeploy.cli.console import Terminal, open_console, show_error
from depthdeploy.cli.output import AS_JSON, show_json
from depthdeploy.cli.summary import show_outcome
from depthdeploy.core.depth import ColorOrder, DepthKind, Interpolation, Layout, ResizeRule
from depthdeploy.core.ends import EndOptions, Taken
from depthdeploy.core.progress import Silence
from depthdeploy.core.request import (
    DEFAULT_MODEL,
    DEFAULT_RECIPE,
    CompileRequest,
    Drop,
    InputOptions,
    parse_duration,
    parse_fallback,
    parse_size,
)
from depthdeploy.core.support import Allowances
from depthdeploy.errors import UsageError

_NETWORK = "Network"
_PHOTOS = "Photographs"
_QUANTIZATION = "Quantization"
_FOREIGN = "Input of a foreign ONNX"
_OUTPUT = "Output"
_GRAPH = "Graph"


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


def compile_command(
    target: list[str] = typer.Option(
        ..., "--target", "-t", help="Targets, with an optional variant: openvino,onnxruntime:cpu-avx2."
    ),
    model: str | None = typer.Option(
        None,
        "--model",
        "-m",
        help=f"A network; see depthdeploy models. Default: {DEFAULT_MODEL}.",
        rich_help_panel=_NETWORK,
    ),
    onnx: Path | None = typer.Option(None, "--onnx", help="A depth network of your own.", rich_help_panel=_NETWORK),
    weights: Path | None = typer.Option(
        None, "--weights", help="The model's weights: a file or a folder.", rich_help_panel=_NETWORK
    ),
    accept_licence: str | None = typer.Option(
        None, "--accept-licence", help="Consent to a licence by its SPDX identifier.", rich_help_panel=_NETWORK
    ),
    size: str | None = typer.Option(None, "--size", help="HEIGHTxWIDTH of the input.", rich_help_panel=_NETWORK),
    calib: str = typer.Option(
        "sample", "--calib", help="Calibration photographs; see depthdeploy calibrations.", rich_help_panel=_PHOTOS
    ),
    calib_count: int | None = typer.Option(
        None,
        "--calib-count",
        help="How many. Default: two thirds, at most 256 or what the recipe needs.",
        rich_help_panel=_PHOTOS,
    ),
    evaluation: list[str] = typer.Option(
        [],
        "--eval",
        help="Evaluation photographs; may be repeated. Default: the rest of --calib.",
        rich_help_panel=_PHOTOS,
    ),
    eval_count: int | None = typer.Option(
        None,
        "--eval-count",
        help="How many of each. Default: all, 64 where unlabelled ones are split.",
        rich_help_panel=_PHOTOS,
    ),
    data_root: Path | None = typer.Option(
        None, "--data-root", help="Where named data sets lie.", rich_help_panel=_PHOTOS
    ),
    seed: int = typer.Option(0, "--seed", help="Seed of the sampling.", rich_help_panel=_PHOTOS),
    precision: str = typer.Option(
        "", "--precision", help="int8, fp16 or fp32. Default: the target's.", rich_help_panel=_QUANTIZATION
    ),
    recipe: str = typer.Option(
        DEFAULT_RECIPE,
        "--recipe",
        help="How: a name of depthdeploy recipes, or a .toml of your own.",
        rich_help_panel=_QUANTIZATION,
    ),
    observer: str | None = typer.Option(
        None,
        "--observer",
        help="Other ranges than the recipe's: minmax, moving, percentile, percentile:99.99, entropy, mse.",
        rich_help_panel=_QUANTIZATION,
    ),
    time_budget: str | None = typer.Option(
        None,
        "--time-budget",
        help="How long learning and searching may take, per target: 90s, 30m, 2h. Default: as it needs.",
        rich_help_panel=_QUANTIZATION,
    ),
    device: str = typer.Option(
        "auto", "--device", help="Where learning runs: auto, cpu or cuda.", rich_help_panel=_QUANTIZATION
    ),
    allow_few: bool = typer.Option(
        False,
        "--allow-few-photographs",
        help="Calibrate with fewer than the recipe is meant for; the report says so.",
        rich_help_panel=_QUANTIZATION,
    ),
    max_drop: list[str] = typer.Option(
        [], "--max-drop", help="Fail when more is lost, as in delta1=0.5.", rich_help_panel=_QUANTIZATION
    ),
    approximate: list[str] = typer.Option(
        [],
        "--approximate",
        help="Rewrite the graph into a cheaper one that computes almost the same, as in resize=asymmetric; the report "
        "tells the loss.",
        rich_help_panel=_GRAPH,
    ),
    allow_fallback: str | None = typer.Option(
        None,
        "--allow-fallback",
        help="How much may run on the host's processor: a number of nodes, or a share of the MACs as in 2.5%.",
        rich_help_panel=_GRAPH,
    ),
    takes: options.TakenInput = Taken.FLOAT,
    input_layout: options.TakenLayout = None,
    input_color: options.TakenColor = None,
    host_tail: options.HostTail = None,
    cut_at: options.CutAt = None,
    output_kind: DepthKind | None = typer.Option(
        None, "--output-kind", help="What the network predicts.", rich_help_panel=_FOREIGN
    ),
    output_name: str | None = typer.Option(
        None, "--output-name", help="Which output is the depth.", rich_help_panel=_FOREIGN
    ),
    input_range: str | None = typer.Option(
        None,
        "--input-range",
        help="What pixels are scaled to before mean and std: 0..1 or 0..255.",
        rich_help_panel=_FOREIGN,
    ),
    mean: str | None = typer.Option(None, "--mean", help="Subtracted, per channel.", rich_help_panel=_FOREIGN),
    std: str | None = typer.Option(None, "--std", help="Divided by, per channel.", rich_help_panel=_FOREIGN),
    color: ColorOrder | None = typer.Option(None, "--color", help="Channel order.", rich_help_panel=_FOREIGN),
    layout: Layout | None = typer.Option(None, "--layout", help="Dimension order.", rich_help_panel=_FOREIGN),
    resize: ResizeRule | None = typer.Option(
        None, "--resize", help="How the aspect ratio is handled.", rich_help_panel=_FOREIGN
    ),
    interpolation: Interpolation | None = typer.Option(
        None, "--interpolation", help="How pixels are resampled.", rich_help_panel=_FOREIGN
    ),
    until: str = typer.Option("evaluate", "--until", help="The last stage to run.", rich_help_panel=_OUTPUT),
    out: Path = typer.Option(Path("depthdeploy-out"), "--out", "-o", help="Where results go.", rich_help_panel=_OUTPUT),
    cache: Path | None = typer.Option(
        None, "--cache", help="Where finished stages and downloads are stored.", rich_help_panel=_OUTPUT
    ),
    as_json: bool = AS_JSON,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the result's folder alone."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Print the plan and, on a fault, the traceback."),
) -> None:
    """Export, make legal, calibrate, quantize, compile and evaluate a network for one or several targets."""
    request = CompileRequest(
        targets=tuple(name for part in target for name in part.split(",") if name),
        calibration=calib,
        model=model,
        onnx=onnx,
        weights=weights,
        accepted_licence=accept_licence,
        size=parse_size(size) if size else None,
        output_kind=output_kind,
        output_name=output_name,
        input=InputOptions(
            mean=_three("--mean", mean),
            std=_three("--std", std),
            scale=_scale(input_range),
            color=color,
            layout=layout,
            resize=resize,
            interpolation=interpolation,
        ),
        precision=precision,
        recipe=recipe,
        observer=observer,
        time_budget=parse_duration(time_budget) if time_budget else None,
        device=device,
        allow_few=allow_few,
        calibration_count=calib_count,
        evaluations=tuple(evaluation),
        evaluation_count=eval_count,
        data_root=data_root,
        seed=seed,
        max_drop=tuple(Drop.parse(text) for text in max_drop),
        allowances=Allowances(tuple(approximate), parse_fallback(allow_fallback) if allow_fallback else None),
        ends=EndOptions(takes, input_layout, input_color, host_tail, cut_at),
        until=until,
        out=out,
        cache=cache,
        command=shlex.join(["depthdeploy", *sys.argv[1:]]),
    )
    console = open_console(stderr=as_json)
    terminal = Terminal(console)
    try:
        outcome = api.compile(request, Silence() if quiet else terminal)
    finally:
        terminal.close()
    if as_json:
        show_json([result.report for result in outcome.results if result.report is not None])
    elif quiet:
        for result in outcome.results:
            if result.folder is not None:
                typer.echo(str(result.folder))
            if result.error is not None:  # nobody has told it yet
                show_error(open_console(stderr=True), result.error, prefix=f"{result.target}: ")
    else:
        show_outcome(console, outcome, verbose=verbose)
    if outcome.error is not None:
        raise typer.Exit(outcome.error.exit_code)
