"""``depthdeploy plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from depthdeploy import api
from depthdeploy.cli import options
from depthdeploy.cli.console import Terminal, open_console
from depthdeploy.cli.output import AS_JSON, show_json, show_table
from depthdeploy.core.ends import EndOptions, Taken
from depthdeploy.core.plan import Budget, Plan, TargetPlan
from depthdeploy.core.progress import Silence
from depthdeploy.core.request import DEFAULT_RECIPE, CompileRequest, parse_size
from depthdeploy.errors import StorageError, UsageError
from depthdeploy.report import plan_tables
from depthdeploy.report.tables import Table

_LATENCY = "Latency"


def plan_command(
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
    allow_few: options.AllowFew = False,
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
    budget_ms: Annotated[
        float | None,
        typer.Option("--budget-ms", help="How long an inference may take, milliseconds.", rich_help_panel=_LATENCY),
    ] = None,
    concurrent: Annotated[
        float,
        typer.Option("--concurrent", help="The share of the chip that other work leaves.", rich_help_panel=_LATENCY),
    ] = 1.0,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", help="Write the estimate of one target as an SVG chart.", rich_help_panel=_LATENCY),
    ] = None,
    cache: options.Cache = None,
    as_json: bool = AS_JSON,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show every target in full, however many there are."),
) -> None:
    """Say what compile would do: nodes accepted, rewritten, refused; memory, quantizer, photographs, latency.

    The exit code is 0 when every target can be compiled here, otherwise that of the first thing in the way.
    """
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
        allow_few=allow_few,
        calibration_count=calib_count,
        evaluations=tuple(evaluation),
        evaluation_count=eval_count,
        data_root=data_root,
        seed=seed,
        allowances=options.allowances(approximate, allow_fallback),
        ends=EndOptions(takes, input_layout, input_color, host_tail, cut_at),
        cache=cache,
    )
    console = open_console(stderr=as_json)
    terminal = Terminal(console)
    try:
        plan = api.plan(request, Silence() if as_json else terminal, budget=Budget(budget_ms, concurrent))
    finally:
        terminal.close()
    if chart is not None:
        _write_chart(plan, chart)
    if as_json:
        show_json(plan)
    else:
        _show(console, plan, verbose=verbose or len(plan.targets) == 1)
    raise typer.Exit(plan.exit_code)


def _show(console: Console, plan: Plan, *, verbose: bool) -> None:
    _table(plan_tables.network_table(plan), console)
    if len(plan.targets) > 1:
        _table(plan_tables.summary_table(plan), console)
    for target in plan.targets if verbose else ():
        _show_target(target, console)
    for target in () if verbose else plan.targets:
        _table(plan_tables.refusal_table(target), console)
    lines = plan_tables.blocker_lines(plan)
    console.print()
    for line in lines or ("Go: nothing stands in the way.",):
        console.print(f"Stops  {line}" if lines else line, highlight=False, markup=False, soft_wrap=True)


def _show_target(target: TargetPlan, console: Console) -> None:
    tables = [
        plan_tables.target_table(target),
        plan_tables.operator_table(target),
        plan_tables.refusal_table(target),
    ]
    if target.latency is not None:
        tables.append(plan_tables.layer_table(target.latency))
    for table in tables:
        _table(table, console)


def _table(table: Table, console: Console) -> None:
    if not table.rows:
        return
    console.print()
    show_table(table.columns, table.rows, title=table.title)
    for note in table.notes:
        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)


def _write_chart(plan: Plan, path: Path) -> None:
    """The chart of the one target of a plan.

    Raises:
        UsageError: there are several targets, or there is no estimate.
        StorageError: the file cannot be written.
    """
    from depthdeploy.estimate.chart import layer_chart

    if len(plan.targets) != 1:
        raise UsageError("--chart draws one target.", "Name one target and variant.")
    latency = plan.targets[0].latency
    if latency is None:
        raise UsageError(f"{plan.targets[0].name} has no estimate to draw.", "Leave --chart out.")
    try:
        path.write_text(layer_chart(latency), encoding="utf-8")
    except OSError as cause:
        raise StorageError(f"{path} cannot be written: {cause.strerror or cause}.", "Choose another place.") from cause
