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
from depthdeploy.core.ends import EndOptions, Taken
from depthdeploy.core.progress import Silence
from depthdeploy.core.request import (
    DEFAULT_RECIPE,
    CompileRequest,
    Drop,
    parse_duration,
    parse_size,
)


def compile_command(
    target: options.Targets,
    model: options.Model = None,
    onnx: options.Onnx = None,
    weights: options.Weights = None,
    accept_licence: options.AcceptLicence = None,
    size: options.Size = None,
    calib: options.Calib = "sample",
    calib_count: options.CalibCount = None,
    evaluation: options.Evaluations = [],  # noqa: B006  # typer copies it
    eval_count: options.EvalCount = None,
    data_root: options.DataRoot = None,
    seed: options.Seed = 0,
    precision: options.Precision = "",
    recipe: options.RecipeName = DEFAULT_RECIPE,
    observer: options.Observer = None,
    time_budget: str | None = typer.Option(
        None,
        "--time-budget",
        help="How long learning and searching may take, per target: 90s, 30m, 2h. Default: as it needs.",
        rich_help_panel=options.QUANTIZATION,
    ),
    device: str = typer.Option(
        "auto", "--device", help="Where learning runs: auto, cpu or cuda.", rich_help_panel=options.QUANTIZATION
    ),
    allow_few: options.AllowFew = False,
    max_drop: list[str] = typer.Option(
        [], "--max-drop", help="Fail when more is lost, as in delta1=0.5.", rich_help_panel=options.QUANTIZATION
    ),
    approximate: options.Approximate = [],  # noqa: B006
    allow_fallback: options.AllowFallback = None,
    takes: options.TakenInput = Taken.FLOAT,
    input_layout: options.TakenLayout = None,
    input_color: options.TakenColor = None,
    host_tail: options.HostTail = None,
    cut_at: options.CutAt = None,
    output_kind: options.OutputKind = None,
    output_name: options.OutputName = None,
    input_range: options.InputRange = None,
    mean: options.Mean = None,
    std: options.Std = None,
    color: options.Color = None,
    layout: options.InputLayout = None,
    resize: options.Resizing = None,
    interpolation: options.Resampling = None,
    until: str = typer.Option("evaluate", "--until", help="The last stage to run.", rich_help_panel=options.OUTPUT),
    out: Path = typer.Option(
        Path("depthdeploy-out"), "--out", "-o", help="Where results go.", rich_help_panel=options.OUTPUT
    ),
    cache: options.Cache = None,
    as_json: bool = AS_JSON,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print the result's folder alone."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Print the plan and, on a fault, the traceback."),
) -> None:
    """Export, make legal, calibrate, quantize, compile and evaluate a network for one or several targets."""
    request = CompileRequest(
        targets=options.names(target),
        calibration=calib,
        model=model,
        onnx=onnx,
        weights=weights,
        accepted_licence=accept_licence,
        size=parse_size(size) if size else None,
        output_kind=output_kind,
        output_name=output_name,
        input=options.input_options(
            mean=mean,
            std=std,
            input_range=input_range,
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
        allowances=options.allowances(approximate, allow_fallback),
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
